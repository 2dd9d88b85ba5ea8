import assert from "node:assert/strict";
import { test } from "node:test";
import { Refused } from "../src/api/client.ts";
import { ALL, lengthOf, STOPS, stopOf } from "../src/views/train/length.ts";
import { byField } from "../src/views/train/plan.ts";
import { type Config, groupsOf, read, write } from "../src/views/train/settings.ts";

const CONFIG = {
  preset: "mlp-mnist",
  dataset: "mnist",
  model: "digits",
  epochs: 100,
  kimg: null,
  size: 28,
  channels: 1,
  loss: "non_saturating",
  generator: { lr: 0.0002, betas: [0.5, 0.999], network: { family: "mlp", hidden: [256] } },
  penalty: { kind: "none", weight: 10 },
} as unknown as Config;

test("every setting is a field under the name of its override, but for those with fields elsewhere", () => {
  const groups = groupsOf(CONFIG);
  assert.deepEqual(
    groups.map(({ title, settings }) => [title, settings.map(({ name }) => name)]),
    [
      ["training", ["size", "channels", "loss"]],
      ["generator", ["generator.lr", "generator.betas", "generator.network.hidden"]],
      ["penalty", ["penalty.kind", "penalty.weight"]],
    ],
  );
  assert.ok(groups[0]?.settings[2]?.words?.includes("hinge"));
});

test("what is typed is read as it is meant", () => {
  assert.deepEqual(["3e-4", "[16, 8]", "true", "null", "hinge"].map(read), [0.0003, [16, 8], true, null, "hinge"]);
  assert.deepEqual([0.0003, [16, 8], true, null, "hinge"].map(write), ["0.0003", "[16,8]", "true", "null", "hinge"]);
});

test("the dial asks for a share of the preset's length, in the preset's own unit", () => {
  assert.deepEqual(lengthOf(CONFIG, 1), {});
  assert.deepEqual(lengthOf(CONFIG, 0.05), { epochs: 5 });
  assert.deepEqual(lengthOf({ ...CONFIG, epochs: null, kimg: 25_000 }, 0.1), { kimg: 2500 });
  assert.equal(STOPS.at(-1)?.share, 1);
});

test("a refusal is told at the fields that it speaks of", () => {
  const refused = new Refused(422, {
    detail: "no",
    errors: [
      { loc: ["body", "overrides", "generator.lr"], msg: "too high" },
      { loc: ["body", "overrides", "generator.lr"], msg: "really" },
      { loc: ["body", "dataset"], msg: "unknown" },
    ],
  });
  assert.deepEqual(byField(refused), { "generator.lr": "too high\nreally", dataset: "unknown" });
  assert.deepEqual(byField(new Refused(503, { detail: "the database is away" })), { "": "the database is away" });
});

test("an address names a stop of the dial, or means all of the length", () => {
  assert.equal(stopOf("0"), 0);
  for (const text of [null, "-1", "1.5", "99", "x"]) assert.equal(stopOf(text), ALL);
});
