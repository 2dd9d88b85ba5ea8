import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { storedValue } from "../src/storage.ts";

const entries = new Map<string, string>();
const storage = {
  getItem: (key: string) => entries.get(key) ?? null,
  setItem: (key: string, text: string) => entries.set(key, text),
};
const numbers = storedValue<number[]>("numbers", [], (value): value is number[] => Array.isArray(value));

beforeEach(() => {
  entries.clear();
  Object.assign(globalThis, { localStorage: storage });
});

test("a value is stored under a prefixed key", () => {
  numbers.write([1, 2]);
  assert.deepEqual(numbers.read(), [1, 2]);
  assert.deepEqual([...entries.keys()], ["atelier.numbers"]);
});

test("corrupt or invalid values are ignored", () => {
  for (const text of ["{", '"text"', "null"]) {
    entries.set("atelier.numbers", text);
    assert.deepEqual(numbers.read(), []);
  }
});

test("a browser that forbids storage only forgets values", () => {
  const forbid = () => {
    throw new DOMException("no", "SecurityError");
  };
  Object.assign(globalThis, { localStorage: { getItem: forbid, setItem: forbid } });
  numbers.write([1]);
  assert.deepEqual(numbers.read(), []);
});
