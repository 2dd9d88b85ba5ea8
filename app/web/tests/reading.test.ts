import assert from "node:assert/strict";
import { test } from "node:test";
import { reading } from "../src/api/reading.ts";

test("what is asked for while it is read is read once more, and the last answer stays", async () => {
  const taken: number[] = [];
  let asked = 0;
  const store = reading(
    async () => ++asked,
    (answer) => taken.push(answer),
    assert.ifError,
  );
  store.heard();
  assert.equal(asked, 0);
  const first = store.now();
  store.heard();
  void store.now();
  await first;
  assert.deepEqual(taken, [1, 2]);
  await store.now();
  assert.deepEqual(taken, [1, 2, 3]);
});

test("a failure is told, and the next reading begins anew", async () => {
  const told: unknown[] = [];
  const answers = [Promise.reject(new Error("gone")), Promise.resolve("here")];
  const store = reading(
    () => answers.shift() ?? assert.fail(),
    (answer) => told.push(answer),
    (error) => told.push((error as Error).message),
  );
  await store.now();
  await store.now();
  assert.deepEqual(told, ["gone", "here"]);
});
