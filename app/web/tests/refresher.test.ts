import assert from "node:assert/strict";
import { test } from "node:test";
import { createRefresher } from "../src/stores/refresher.ts";

test("a refresh during a fetch causes one more fetch, and the last value stays", async () => {
  const values: number[] = [];
  let fetches = 0;
  const store = createRefresher(
    async () => ++fetches,
    (value) => values.push(value),
    assert.ifError,
  );
  store.invalidate();
  assert.equal(fetches, 0);
  const first = store.refresh();
  store.invalidate();
  void store.refresh();
  await first;
  assert.deepEqual(values, [1, 2]);
  await store.refresh();
  assert.deepEqual(values, [1, 2, 3]);
});

test("an error is reported, and the next refresh starts anew", async () => {
  const reported: unknown[] = [];
  const responses = [Promise.reject(new Error("gone")), Promise.resolve("here")];
  const store = createRefresher(
    () => responses.shift() ?? assert.fail(),
    (value) => reported.push(value),
    (error) => reported.push((error as Error).message),
  );
  await store.refresh();
  await store.refresh();
  assert.deepEqual(reported, ["gone", "here"]);
});
