import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, formatState, type PlayState, parseState } from "../src/views/play/query.ts";
import {
  exportRequest,
  fileName,
  gridRequest,
  imageRequest,
  interpolationRequest,
  requestUrl,
  walkRequest,
} from "../src/views/play/requests.ts";
import {
  cellAt,
  cellCentre,
  MAX_SEED,
  offsetSeed,
  parseSeed,
  seedsFrom,
  toggleStop,
  variationTargets,
  walkPath,
} from "../src/views/play/seeds.ts";

const parse = (text: string): PlayState => parseState(new URLSearchParams(text));
const state = (changes: Partial<PlayState>): PlayState => ({ ...DEFAULTS, ...changes });

test("every state survives formatting and parsing", () => {
  const states = [
    state({}),
    state({ view: "walk", model: "digits@3", stops: [3n, MAX_SEED, 0n], frames: 240, fps: 10 }),
    state({ view: "variations", seed: 7n, pick: 1_000_010n, reach: 0.25, class: "a rose, red", psi: 0.7 }),
    state({ view: "grid", n: 144, seed: MAX_SEED }),
  ];
  for (const each of states) assert.deepEqual(parse(formatState(each).toString()), each);
});

test("a query omits defaults", () => {
  assert.equal(formatState(DEFAULTS).toString(), "");
});

test("the former name of a view is still read", () => {
  assert.equal(parse("view=near").view, "variations");
});

test("an invalid query still gives a state", () => {
  const parsed = parse("view=attic&seed=-1&n=1e9&psi=NaN&pick=99999999999999999999&seeds=1,x,,2&frames=&fps=0&reach=7");
  assert.deepEqual(parsed, state({ n: 4096, stops: [1n, 2n], fps: 1, reach: 1 }));
});

test("seeds keep all their digits and wrap around", () => {
  assert.equal(parseSeed("9223372036854775807"), MAX_SEED);
  assert.equal(parseSeed("9223372036854775808"), null);
  assert.equal(offsetSeed(MAX_SEED, 1), 0n);
  assert.equal(offsetSeed(0n, -1), MAX_SEED);
  assert.deepEqual(seedsFrom(MAX_SEED, 2), [MAX_SEED, 0n]);
});

test("targets of variations are always the same, and never the seed itself", () => {
  assert.deepEqual(variationTargets(5n, 6), variationTargets(5n, 12).slice(0, 6));
  assert.ok(!variationTargets(MAX_SEED, 12).includes(MAX_SEED));
});

test("a request names what is shown and omits defaults", () => {
  assert.equal(requestUrl(imageRequest(state({}), "digits@3", 7n)), "/samples?model=digits@3&n=1&seed=7");
  const chosen = state({ seed: 7n, n: 9, class: "rose", psi: 0.5 });
  assert.equal(requestUrl(gridRequest(chosen, "digits@3")), "/samples?model=digits@3&class=rose&psi=0.5&n=9&seed=7");
  assert.equal(
    requestUrl(walkRequest(state({ stops: [1n, 2n] }), "d@1") ?? gridRequest(DEFAULTS, ""), "mp4").includes(
      "seeds=1,2",
    ),
    true,
  );
  assert.equal(walkRequest(state({ stops: [1n] }), "d@1"), null);
});

test("a walk has at least a frame for each of its stops", () => {
  assert.equal(walkRequest(state({ stops: [1n, 2n, 3n], frames: 2 }), "d@1")?.query.frames, 3);
});

test("variations with a shorter reach have finer steps", () => {
  const steps = (reach: number) => interpolationRequest(state({ reach }), "d@1", 9n).query.cols;
  assert.deepEqual([1, 0.5, 0.1].map(steps), [6, 11, 51]);
});

test("only pictures are enlarged", () => {
  const request = gridRequest(state({}), "digits@3");
  assert.match(requestUrl(request, "png", 4), /scale=4&format=png$/);
  assert.doesNotMatch(requestUrl(request, "npy", 4), /scale/);
  assert.doesNotMatch(requestUrl(request, "png", 1), /scale/);
});

test("a file name describes the content", () => {
  assert.equal(fileName(imageRequest(state({}), "digits@3", 7n), "jpeg"), "digits-3-seed-7.jpg");
  assert.equal(fileName(gridRequest(state({ seed: 2n }), "digits@3"), "zip"), "digits-3-25-seed-2.zip");
  const walk = exportRequest(state({ view: "walk", stops: [1n, 2n] }), "digits@3", 0n);
  assert.equal(walk && fileName(walk, "webp"), "digits-3-walk-seeds-1-2.webp");
});

test("a position on the map is a cell, outside of it there is none", () => {
  assert.equal(cellAt({ x: 0, y: 0 }), 0);
  assert.equal(cellAt({ x: 0.999, y: 0.999 }), 39);
  assert.equal(cellAt({ x: 1, y: 0.5 }), null);
  assert.equal(cellAt({ x: 0.5, y: -0.1 }), null);
  for (const cell of [0, 13, 39]) assert.equal(cellAt({ x: cellCentre(cell).x / 8, y: cellCentre(cell).y / 5 }), cell);
});

test("a stop is added and removed", () => {
  assert.deepEqual(toggleStop([1n], 2n), [1n, 2n]);
  assert.deepEqual(toggleStop([1n, 2n], 1n), [2n]);
  const full = seedsFrom(0n, 64);
  assert.equal(toggleStop(full, 99n), full);
});

test("the path leads through all stops and back", () => {
  assert.equal(walkPath([cellCentre(0), cellCentre(1), cellCentre(8)]), "M0.5 0.5L1.5 0.5L0.5 1.5Z");
  assert.equal(walkPath([cellCentre(0)]), "");
});
