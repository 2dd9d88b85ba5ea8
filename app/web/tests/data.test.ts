import assert from "node:assert/strict";
import { test } from "node:test";
import { nameFrom } from "../src/views/data/names.ts";

test("a file's name becomes one that the service takes", () => {
  assert.deepEqual(["My Pets.zip", "Café (2).tar.gz", "__.tgz", "a.b_c.tar"].map(nameFrom), [
    "my-pets",
    "cafe-2",
    "images",
    "a.b_c",
  ]);
  assert.equal(nameFrom(`${"x".repeat(100)}.zip`).length, 64);
});
