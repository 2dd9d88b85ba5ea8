import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { address, all, call, Refused, Unreachable } from "../src/api/client.ts";

const realFetch = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = realFetch;
});

function answer(...answers: Response[]): string[] {
  const asked: string[] = [];
  globalThis.fetch = (path) => {
    asked.push(String(path));
    const next = answers.shift();
    return next ? Promise.resolve(next) : Promise.reject(new TypeError("no network"));
  };
  return asked;
}

test("an address fills its path and leaves out what is not given", () => {
  assert.equal(
    address("GET /models/{name}@{reference}/preview.png", { path: { name: "digits", reference: "best" } }),
    "/models/digits@best/preview.png",
  );
  assert.equal(
    address("GET /walk", { query: { seeds: "1,9223372036854775807", model: "digits@3", psi: null } }),
    "/walk?seeds=1,9223372036854775807&model=digits@3",
  );
});

test("a name cannot leave its place in the path", () => {
  assert.equal(address("GET /datasets/{name}", { path: { name: "../models?x" } }), "/datasets/..%2Fmodels%3Fx");
});

test("a refusal carries the problem's words and when to come back", async () => {
  const body = { title: "Busy", status: 503, detail: "too much work is waiting", type: "about:blank" };
  answer(Response.json(body, { status: 503, headers: { "Retry-After": "7" } }));
  const error = await call("GET /healthz", {}).catch((refused: unknown) => refused);
  assert.ok(error instanceof Refused);
  assert.deepEqual([error.status, error.title, error.message, error.retryAfter], [503, "Busy", body.detail, 7]);
});

test("a refusal without a problem, from something in between, is still told", async () => {
  answer(new Response("<h1>Bad gateway</h1>", { status: 502 }));
  await assert.rejects(call("GET /healthz", {}), /answered 502/);
});

test("no answer at all says that the service does not run", async () => {
  answer();
  await assert.rejects(call("GET /healthz", {}), Unreachable);
});

test("a list is read to its end", async () => {
  const asked = answer(Response.json({ items: ["a"], next: "a" }), Response.json({ items: ["b"], next: null }));
  assert.deepEqual(await all("GET /models", {}), ["a", "b"]);
  assert.deepEqual(asked, ["/models?limit=200", "/models?limit=200&cursor=a"]);
});

test("an answer without content is undefined", async () => {
  answer(new Response(null, { status: 204 }));
  assert.equal(await call("DELETE /session", {}), undefined);
});
