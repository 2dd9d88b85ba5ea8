import assert from "node:assert/strict";
import { test } from "node:test";
import { findRoute } from "../src/routes.ts";

test("a path leads to its view and the name in it", () => {
  assert.equal(findRoute("/data/my%20pets")?.name, "my pets");
  assert.equal(findRoute("/runs/new")?.route.title, "Train");
  assert.equal(findRoute("/runs/1k0s")?.route.title, "Run");
  assert.equal(findRoute("/attic"), null);
});

test("a malformed path is taken as it is", () => {
  assert.equal(findRoute("/data/%E0")?.name, "%E0");
});
