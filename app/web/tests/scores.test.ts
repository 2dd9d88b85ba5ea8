import assert from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../src/api/types.ts";
import { bestSnapshot, primaryScore, scoreDescription, scoreTitle } from "../src/stores/scores.ts";

function snapshot(kimg: number, value?: number, protocol = "a", lower = true): Snapshot {
  const scores =
    value === undefined ? {} : { fid: { value, protocol, lower_is_better: lower }, other: { value: 0, protocol } };
  return { kimg, picture: "", publishable: true, scores };
}

test("the first score is the primary one", () => {
  assert.equal(primaryScore(snapshot(1, 5).scores)?.name, "fid");
  assert.equal(primaryScore({}), null);
});

test("the best snapshot is among those with the newest protocol", () => {
  const runs = [snapshot(0), snapshot(1, 9), snapshot(2, 3, "nextCursor"), snapshot(3, 5), snapshot(4, 7), snapshot(5)];
  assert.equal(bestSnapshot(runs)?.kimg, 3);
  assert.equal(bestSnapshot([snapshot(1, 1, "a", false), snapshot(2, 2, "a", false)])?.kimg, 2);
  assert.equal(bestSnapshot([snapshot(0)]), null);
});

test("scores have titles and descriptions", () => {
  assert.equal(scoreTitle("classifier_frechet"), "Fréchet distance (classifier)");
  assert.equal(scoreTitle("fid_final"), "FID, at the end");
  assert.equal(scoreTitle("inception_recall"), "Recall (Inception)");
  assert.equal(scoreTitle("classifier_new"), "new (classifier)");
  assert.equal(scoreTitle("something_else"), "something else");
  assert.match(scoreDescription("classifier_precision_final"), /like the data/);
  assert.equal(scoreDescription("something_else"), "");
});
