import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../src/api/client.ts";
import { errorsByField, FULL_LENGTH, LENGTHS, lengthOverride, parseLength } from "../src/views/train/dryRun.ts";
import { type Config, formatValue, groupsOf, parseValue } from "../src/views/train/settings.ts";

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

const SCHEMAS = { TrainingConfig: { properties: { loss: { enum: ["non_saturating", "hinge"] } } } };

test("every setting without a field of its own is listed under its override path", () => {
  const groups = groupsOf(CONFIG, SCHEMAS);
  assert.deepEqual(
    groups.map(({ title, settings }) => [title, settings.map(({ name }) => name)]),
    [
      ["training", ["size", "channels", "loss"]],
      ["generator", ["generator.lr", "generator.betas", "generator.network.hidden"]],
      ["penalty", ["penalty.kind", "penalty.weight"]],
    ],
  );
  assert.ok(groups[0]?.settings[2]?.choices?.values.includes("hinge"));
});

test("typed values are parsed as JSON or text", () => {
  assert.deepEqual(["3e-4", "[16, 8]", "true", "null", "hinge"].map(parseValue), [
    0.0003,
    [16, 8],
    true,
    null,
    "hinge",
  ]);
  assert.deepEqual([0.0003, [16, 8], true, null, "hinge"].map(formatValue), [
    "0.0003",
    "[16,8]",
    "true",
    "null",
    "hinge",
  ]);
});

test("a share of the length is in the preset's own unit", () => {
  assert.deepEqual(lengthOverride(CONFIG, 1), {});
  assert.deepEqual(lengthOverride(CONFIG, 0.05), { epochs: 5 });
  assert.deepEqual(lengthOverride({ ...CONFIG, epochs: null, kimg: 25_000 }, 0.1), { kimg: 2500 });
  assert.equal(LENGTHS.at(-1)?.share, 1);
});

test("errors are sorted by the fields that they concern", () => {
  const error = new ApiError(422, {
    detail: "no",
    errors: [
      { loc: ["body", "overrides", "generator.lr"], msg: "too high" },
      { loc: ["body", "overrides", "generator.lr"], msg: "really" },
      { loc: ["body", "dataset"], msg: "unknown" },
    ],
  });
  assert.deepEqual(errorsByField(error), { "generator.lr": "too high\nreally", dataset: "unknown" });
  assert.deepEqual(errorsByField(new ApiError(503, { detail: "the database is away" })), {
    "": "the database is away",
  });
});

test("a length parameter is an index, or means the full length", () => {
  assert.equal(parseLength("0"), 0);
  for (const text of [null, "-1", "1.5", "99", "x"]) assert.equal(parseLength(text), FULL_LENGTH);
});
