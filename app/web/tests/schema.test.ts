import assert from "node:assert/strict";
import { test } from "node:test";
import { choicesOf, type SchemaNodes } from "../src/stores/schema.ts";

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const NODES: SchemaNodes = {
  TrainingConfig: {
    properties: {
      loss: { enum: ["hinge", "wasserstein"] },
      size: { anyOf: [{ enum: [28, 32] }, { type: "null" }] },
      weight: { anyOf: [{ type: "number" }, { type: "null" }] },
      conditional: { type: "boolean" },
      augment: { properties: { policy: { type: "array", items: { enum: ["color", "cutout"] } } } },
      generator: { properties: { network: { oneOf: [ref("MlpGenerator"), ref("DcganGenerator")] } } },
    },
  },
  MlpGenerator: { properties: { family: { const: "mlp" }, hidden: { type: "array", items: { type: "integer" } } } },
  DcganGenerator: { properties: { family: { const: "dcgan" }, norm: { enum: ["batch", "none"] } } },
};
const choices = (path: string) => choicesOf(NODES, "TrainingConfig", path);

test("choices are what the schema declares", () => {
  assert.deepEqual(choices("loss"), { values: ["hinge", "wasserstein"], multiple: false });
  assert.deepEqual(choices("size"), { values: [28, 32, null], multiple: false });
  assert.deepEqual(choices("conditional"), { values: [true, false], multiple: false });
});

test("a list of declared values offers each of them", () => {
  assert.deepEqual(choices("augment.policy"), { values: ["color", "cutout"], multiple: true });
});

test("variants of a union are joined, and looked into where they have the property", () => {
  assert.deepEqual(choices("generator.network.family"), { values: ["mlp", "dcgan"], multiple: false });
  assert.deepEqual(choices("generator.network.norm"), { values: ["batch", "none"], multiple: false });
});

test("free values and unknown settings have no choices", () => {
  for (const path of ["weight", "generator.network.hidden", "unknown", "loss.unknown"])
    assert.equal(choices(path), null, path);
});
