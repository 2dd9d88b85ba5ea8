import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { stored } from "../src/stored.ts";

const kept = new Map<string, string>();
const storage = {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, text: string) => kept.set(key, text),
};
const numbers = stored<number[]>("numbers", [], (value): value is number[] => Array.isArray(value));

beforeEach(() => {
  kept.clear();
  Object.assign(globalThis, { localStorage: storage });
});

test("what was written is read again, under a name of ours", () => {
  numbers.write([1, 2]);
  assert.deepEqual(numbers.read(), [1, 2]);
  assert.deepEqual([...kept.keys()], ["atelier.numbers"]);
});

test("what is broken or of another kind counts as nothing", () => {
  for (const text of ["{", '"text"', "null"]) {
    kept.set("atelier.numbers", text);
    assert.deepEqual(numbers.read(), []);
  }
});

test("a browser that forbids storage only forgets", () => {
  const forbid = () => {
    throw new DOMException("no", "SecurityError");
  };
  Object.assign(globalThis, { localStorage: { getItem: forbid, setItem: forbid } });
  numbers.write([1]);
  assert.deepEqual(numbers.read(), []);
});
