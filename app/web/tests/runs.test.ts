import assert from "node:assert/strict";
import { test } from "node:test";

class Source extends EventTarget {
  static readonly CLOSED = 2;
  static newest: Source;
  readonly readyState = 1;
  constructor() {
    super();
    Source.newest = this;
  }
  close() {}
}

Object.assign(globalThis, {
  EventSource: Source,
  document: { hidden: false, addEventListener: () => {} },
  addEventListener: () => {},
  fetch: async () => Response.json({ items: [], next: null }),
});

const { listen } = await import("../src/events.ts");
const { keepRuns, runOf, takeOver } = await import("../src/stores/runs.ts");
type Run = Parameters<typeof takeOver>[0] extends Promise<infer R> ? R : never;

const run = (id: string, state: string) => ({ id, state, preset: "mlp-mnist" }) as Run;
const hear = (told: Run) => Source.newest.dispatchEvent(new MessageEvent("state", { data: JSON.stringify(told) }));

keepRuns();
listen();

test("an answer is taken over", async () => {
  await takeOver(Promise.resolve(run("a", "paused")), "a");
  assert.equal(runOf("a")?.state, "paused");
});

test("an answer that the stream has overtaken is not", async () => {
  for (const id of ["a", undefined]) {
    let answer = (_: Run) => {};
    const taken = takeOver(new Promise<Run>((resolve) => (answer = resolve)), id);
    hear(run(id ?? "new", "running"));
    answer(run(id ?? "new", "queued"));
    await taken;
    assert.equal(runOf(id ?? "new")?.state, "running");
  }
});

test("one is where the stream has told of the run before, but not since", async () => {
  hear(run("b", "paused"));
  await takeOver(Promise.resolve(run("b", "queued")), "b");
  assert.equal(runOf("b")?.state, "queued");
});
