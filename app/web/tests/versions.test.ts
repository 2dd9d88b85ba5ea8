import assert from "node:assert/strict";
import { test } from "node:test";
import type { Model, Score, Version } from "../src/api/types.ts";
import {
  aliasesOf,
  byRecency,
  deletionBlocker,
  isBestScore,
  previousVersion,
  servedVersion,
} from "../src/stores/versions.ts";

const fid = (value: number, protocol = "small"): Record<string, Score> => ({ fid: { value, protocol } });

function model(aliases: Record<string, number>, ...versions: Partial<Version>[]): Model {
  const made = versions.map((version, index): Version => {
    const number = version.version ?? index + 1;
    const rest = { state: "whole" as const, reason: null, created_at: null, scores: {}, ...version };
    return { ...rest, ref: `digits@${number}`, version: number };
  });
  return { name: "digits", read_only: false, aliases, versions: made };
}

test("a bare name resolves to best, else latest", () => {
  assert.equal(servedVersion(model({ best: 1, latest: 2 }, {}, {}))?.version, 1);
  assert.equal(servedVersion(model({ latest: 2 }, {}, {}))?.version, 2);
  assert.equal(servedVersion(model({}, { state: "arriving" })), null);
});

test("a rollback leads to the last complete version before the served one", () => {
  assert.equal(previousVersion(model({ latest: 3 }, {}, { state: "broken" }, {}))?.version, 1);
  assert.equal(previousVersion(model({ best: 1, latest: 3 }, {}, {}, {})), null);
});

test("aliases come with best and latest first", () => {
  assert.deepEqual(aliasesOf(model({ amber: 1, latest: 1, best: 1, zinc: 2 }, {}, {}), 1), ["best", "latest", "amber"]);
});

test("a version with an alias other than latest cannot be deleted", () => {
  assert.equal(deletionBlocker(model({ latest: 1 }, {}), 1), null);
  assert.match(deletionBlocker(model({ latest: 1, stable: 1 }, {}), 1) ?? "", /stable points at it/);
  assert.match(deletionBlocker({ ...model({}, {}), read_only: true }, 1) ?? "", /ships with Atelier/);
});

test("only scores of the same protocol are compared", () => {
  const scored = model({}, { scores: fid(9) }, { scores: fid(7) }, { scores: fid(1, "large") });
  const best = scored.versions.map((version) => isBestScore(scored, "fid", version.scores.fid as Score));
  assert.deepEqual(best, [false, true, false]);
});

test("the newest model comes first and the one that ships last", () => {
  const dated = (name: string, created_at: string): Model => ({ ...model({}, { created_at }), name });
  const all = [
    dated("old", "2026-01-01"),
    { ...dated("starter", "2026-03-01"), read_only: true },
    dated("new", "2026-02-01"),
  ];
  assert.deepEqual(
    all.sort(byRecency).map(({ name }) => name),
    ["new", "old", "starter"],
  );
});
