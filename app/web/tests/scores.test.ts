import assert from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../src/api/types.ts";
import { bestOf, decisive, meaningOf, scoreName } from "../src/stores/scores.ts";

function snapshot(kimg: number, value?: number, protocol = "a", lower = true): Snapshot {
  const scores =
    value === undefined ? {} : { fid: { value, protocol, lower_is_better: lower }, other: { value: 0, protocol } };
  return { kimg, picture: "", publishable: true, scores };
}

test("the first score decides", () => {
  assert.equal(decisive(snapshot(1, 5).scores)?.name, "fid");
  assert.equal(decisive({}), null);
});

test("the best is among those that were measured as the newest was", () => {
  const runs = [snapshot(0), snapshot(1, 9), snapshot(2, 3, "older"), snapshot(3, 5), snapshot(4, 7), snapshot(5)];
  assert.equal(bestOf(runs)?.kimg, 3);
  assert.equal(bestOf([snapshot(1, 1, "a", false), snapshot(2, 2, "a", false)])?.kimg, 2);
  assert.equal(bestOf([snapshot(0)]), null);
});

test("scores have names that people know, and a meaning", () => {
  assert.equal(scoreName("classifier_frechet"), "Fréchet distance (classifier)");
  assert.equal(scoreName("fid_final"), "FID, at the end");
  assert.equal(scoreName("inception_recall"), "Recall (Inception)");
  assert.equal(scoreName("classifier_new"), "new (classifier)");
  assert.equal(scoreName("something_else"), "something else");
  assert.match(meaningOf("classifier_precision_final"), /like the data/);
  assert.equal(meaningOf("something_else"), "");
});
