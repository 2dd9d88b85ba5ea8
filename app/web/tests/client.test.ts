import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { ApiError, buildUrl, call, listAll, UnreachableError } from "../src/api/client.ts";

const realFetch = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = realFetch;
});

/** Let fetch return these responses in order, then fail; returns the requested paths. */
function mockFetch(...responses: Response[]): string[] {
  const requested: string[] = [];
  globalThis.fetch = (path) => {
    requested.push(String(path));
    const next = responses.shift();
    return next ? Promise.resolve(next) : Promise.reject(new TypeError("no network"));
  };
  return requested;
}

test("a URL fills its path and omits missing parameters", () => {
  assert.equal(
    buildUrl("GET /models/{name}@{reference}/preview.png", { path: { name: "digits", reference: "best" } }),
    "/models/digits@best/preview.png",
  );
  assert.equal(
    buildUrl("GET /walk", { query: { seeds: "1,9223372036854775807", model: "digits@3", psi: null } }),
    "/walk?seeds=1,9223372036854775807&model=digits@3",
  );
});

test("a name cannot escape from its part of the path", () => {
  assert.equal(buildUrl("GET /datasets/{name}", { path: { name: "../models?x" } }), "/datasets/..%2Fmodels%3Fx");
});

test("an error carries the problem's detail and the time to retry", async () => {
  const body = { title: "Busy", status: 503, detail: "too much work is waiting", type: "about:blank" };
  mockFetch(Response.json(body, { status: 503, headers: { "Retry-After": "7" } }));
  const error = await call("GET /healthz", {}).catch((failure: unknown) => failure);
  assert.ok(error instanceof ApiError);
  assert.deepEqual([error.status, error.title, error.message, error.retryAfter], [503, "Busy", body.detail, 7]);
});

test("an error without a problem body, as from a proxy, has a message", async () => {
  mockFetch(new Response("<h1>Bad gateway</h1>", { status: 502 }));
  await assert.rejects(call("GET /healthz", {}), /status 502/);
});

test("no response means that the service is unreachable", async () => {
  mockFetch();
  await assert.rejects(call("GET /healthz", {}), UnreachableError);
});

test("all pages of a list are read", async () => {
  const requested = mockFetch(Response.json({ items: ["a"], next: "a" }), Response.json({ items: ["b"], next: null }));
  assert.deepEqual(await listAll("GET /models", {}), ["a", "b"]);
  assert.deepEqual(requested, ["/models?limit=200", "/models?limit=200&cursor=a"]);
});

test("a response without content is undefined", async () => {
  mockFetch(new Response(null, { status: 204 }));
  assert.equal(await call("DELETE /session", {}), undefined);
});
