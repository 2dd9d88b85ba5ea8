import assert from "node:assert/strict";
import { test } from "node:test";

class FakeEventSource extends EventTarget {
  static readonly CLOSED = 2;
  static newest: FakeEventSource;
  readonly readyState = 1;
  constructor() {
    super();
    FakeEventSource.newest = this;
  }
  close() {}
}

Object.assign(globalThis, {
  EventSource: FakeEventSource,
  document: { hidden: false, addEventListener: () => {} },
  addEventListener: () => {},
  fetch: async () => Response.json({ items: [], next: null }),
});

const { openStream } = await import("../src/events.ts");
const { trackRuns, findRun, applyResponse } = await import("../src/stores/runs.ts");
type Run = Parameters<typeof applyResponse>[0] extends Promise<infer R> ? R : never;

const run = (id: string, state: string) => ({ id, state, preset: "mlp-mnist" }) as Run;
const dispatchState = (run: Run) =>
  FakeEventSource.newest.dispatchEvent(new MessageEvent("state", { data: JSON.stringify(run) }));

trackRuns();
openStream();

test("a response is stored", async () => {
  await applyResponse(Promise.resolve(run("a", "paused")), "a");
  assert.equal(findRun("a")?.state, "paused");
});

test("a response that a state event has overtaken is not stored", async () => {
  for (const id of ["a", undefined]) {
    let respond = (_: Run) => {};
    const stored = applyResponse(new Promise<Run>((resolve) => (respond = resolve)), id);
    dispatchState(run(id ?? "new", "running"));
    respond(run(id ?? "new", "queued"));
    await stored;
    assert.equal(findRun(id ?? "new")?.state, "running");
  }
});

test("a response after an earlier state event is stored", async () => {
  dispatchState(run("b", "paused"));
  await applyResponse(Promise.resolve(run("b", "queued")), "b");
  assert.equal(findRun("b")?.state, "queued");
});
