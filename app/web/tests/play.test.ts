import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DEFAULTS,
  directions,
  MAX_SEED,
  type Play,
  read,
  seedOf,
  seedsFrom,
  step,
  write,
} from "../src/views/play/state.ts";
import { cellAt, middle, moved, path, toggled } from "../src/views/play/walkmap.ts";
import { addressOf, fileName, film, grid, one, strip, taken } from "../src/views/play/wishes.ts";

const at = (text: string): Play => read(new URLSearchParams(text));
const play = (changes: Partial<Play>): Play => ({ ...DEFAULTS, ...changes });

test("every state is an address, and comes back from it", () => {
  const states = [
    play({}),
    play({ view: "walk", model: "digits@3", stops: [3n, MAX_SEED, 0n], frames: 240, fps: 10 }),
    play({ view: "near", seed: 7n, pick: 1_000_010n, reach: 0.25, class: "a rose, red", psi: 0.7 }),
    play({ view: "grid", n: 144, seed: MAX_SEED }),
  ];
  for (const state of states) assert.deepEqual(at(write(state).toString()), state);
});

test("an address says only what does not go without saying", () => {
  assert.equal(write(DEFAULTS).toString(), "");
});

test("an address that was tampered with still shows something", () => {
  const state = at("view=attic&seed=-1&n=1e9&psi=NaN&pick=99999999999999999999&seeds=1,x,,2&frames=&fps=0&reach=7");
  assert.deepEqual(state, play({ n: 4096, stops: [1n, 2n], fps: 1, reach: 1 }));
});

test("seeds keep all their digits and end where they begin", () => {
  assert.equal(seedOf("9223372036854775807"), MAX_SEED);
  assert.equal(seedOf("9223372036854775808"), null);
  assert.equal(step(MAX_SEED, 1), 0n);
  assert.equal(step(0n, -1), MAX_SEED);
  assert.deepEqual(seedsFrom(MAX_SEED, 2), [MAX_SEED, 0n]);
});

test("directions are always the same, and never the seed itself", () => {
  assert.deepEqual(directions(5n, 6), directions(5n, 12).slice(0, 6));
  assert.ok(!directions(MAX_SEED, 12).includes(MAX_SEED));
});

test("a wish asks for what is shown, and for nothing that has its default", () => {
  assert.equal(addressOf(one(play({}), "digits@3", 7n)), "/samples?model=digits@3&n=1&seed=7");
  const chosen = play({ seed: 7n, n: 9, class: "rose", psi: 0.5 });
  assert.equal(addressOf(grid(chosen, "digits@3")), "/samples?model=digits@3&class=rose&psi=0.5&n=9&seed=7");
  assert.equal(
    addressOf(film(play({ stops: [1n, 2n] }), "d@1") ?? grid(DEFAULTS, ""), "mp4").includes("seeds=1,2"),
    true,
  );
  assert.equal(film(play({ stops: [1n] }), "d@1"), null);
});

test("a walk has at least a frame for each of its stops", () => {
  assert.equal(film(play({ stops: [1n, 2n, 3n], frames: 2 }), "d@1")?.query.frames, 3);
});

test("the nearer variations stay, the finer their steps", () => {
  const steps = (reach: number) => strip(play({ reach }), "d@1", 9n).query.cols;
  assert.deepEqual([1, 0.5, 0.1].map(steps), [6, 11, 51]);
});

test("only pictures are enlarged", () => {
  const wish = grid(play({}), "digits@3");
  assert.match(addressOf(wish, "png", 4), /scale=4&format=png$/);
  assert.doesNotMatch(addressOf(wish, "npy", 4), /scale/);
  assert.doesNotMatch(addressOf(wish, "png", 1), /scale/);
});

test("a file's name tells what is in it", () => {
  assert.equal(fileName(one(play({}), "digits@3", 7n), "jpeg"), "digits-3-seed-7.jpg");
  assert.equal(fileName(grid(play({ seed: 2n }), "digits@3"), "zip"), "digits-3-25-seed-2.zip");
  const walk = taken(play({ view: "walk", stops: [1n, 2n] }), "digits@3", 0n);
  assert.equal(walk && fileName(walk, "webp"), "digits-3-walk-seeds-1-2.webp");
});

test("a place on the map is a cell, and beside it there is none", () => {
  assert.equal(cellAt({ x: 0, y: 0 }), 0);
  assert.equal(cellAt({ x: 0.999, y: 0.999 }), 39);
  assert.equal(cellAt({ x: 1, y: 0.5 }), null);
  assert.equal(cellAt({ x: 0.5, y: -0.1 }), null);
  for (const cell of [0, 13, 39]) assert.equal(cellAt({ x: middle(cell).x / 8, y: middle(cell).y / 5 }), cell);
});

test("a stop is set, moved and taken away", () => {
  assert.deepEqual(toggled([1n], 2n), [1n, 2n]);
  assert.deepEqual(toggled([1n, 2n], 1n), [2n]);
  assert.deepEqual(moved([1n, 2n], 0, 5n), [5n, 2n]);
  const full = seedsFrom(0n, 64);
  assert.equal(toggled(full, 99n), full);
});

test("the way leads through all stops and back", () => {
  assert.equal(path([middle(0), middle(1), middle(8)]), "M0.5 0.5L1.5 0.5L0.5 1.5Z");
  assert.equal(path([middle(0)]), "");
});
