import assert from "node:assert/strict";
import { test } from "node:test";
import type { SchemaNodes } from "../src/stores/schema.ts";
import { memorisationSentence } from "../src/stores/scores.ts";
import { verdictText } from "../src/stores/verdicts.ts";

const NAMES = {
  enum: ["healthy", "collapsed"],
  "x-enum-titles": ["Healthy", "Collapsed"],
  "x-enum-descriptions": ["Nothing is wrong.", "All images look alike."],
  "x-enum-advice": ["", "Stop the run."],
  "x-enum-severities": ["good", "failure"],
};
const NODES: SchemaNodes = { HealthView: { properties: { verdict: { anyOf: [NAMES, { type: "null" }] } } } };

test("a verdict has the words of the schema", () => {
  assert.deepEqual(verdictText(NODES, "collapsed"), {
    title: "Collapsed",
    severity: "failure",
    sentence: "All images look alike.",
    advice: "Stop the run.",
  });
});

test("a verdict that the schema does not know has no words", () => {
  assert.equal(verdictText(NODES, "of_another_version" as "healthy"), null);
  assert.equal(verdictText(NODES, null), null);
  assert.equal(verdictText(null, "collapsed"), null);
});

test("memorisation is told in a sentence", () => {
  const sentence = memorisationSentence({ value: 0.934, protocol: "p" });
  assert.match(sentence, /^93 % of the samples are nearer to a training image/);
});
