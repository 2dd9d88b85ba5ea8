import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, duration, plural, round } from "../src/format.ts";

test("numbers keep about three digits", () => {
  assert.deepEqual([0.12345, 4.5678, 78.91, 1234.5].map(round), ["0.123", "4.57", "78.9", "1,235"]);
});

test("sizes use decimal units", () => {
  assert.deepEqual([0, 999, 1_900_000, 2.5e9].map(bytes), ["0 B", "999 B", "1.9 MB", "2.5 GB"]);
});

test("durations use a fitting unit", () => {
  assert.deepEqual([40, 600, 7200, 400_000].map(duration), ["40 s", "10 min", "2.0 h", "4.6 days"]);
});

test("one is singular", () => {
  assert.deepEqual([plural(1, "version"), plural(1200, "version")], ["1 version", "1,200 versions"]);
});
