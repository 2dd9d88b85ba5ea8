import assert from "node:assert/strict";
import { test } from "node:test";
import { datasetNameOf } from "../src/stores/uploads.ts";

test("a file name becomes a valid data set name", () => {
  assert.deepEqual(["My Pets.zip", "Café (2).tar.gz", "__.tgz", "a.b_c.tar"].map(datasetNameOf), [
    "my-pets",
    "cafe-2",
    "images",
    "a.b_c",
  ]);
  assert.equal(datasetNameOf(`${"x".repeat(100)}.zip`).length, 64);
});
