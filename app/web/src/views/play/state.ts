// What Play shows, as its address tells it: reading an address never fails, and writing leaves out what goes without saying.

export const VIEWS = ["seeds", "grid", "walk", "near"] as const;
export type View = (typeof VIEWS)[number];

export const MAX_SEED = 2n ** 63n - 1n;
export const MAX_COUNT = 4096;
export const MAX_STOPS = 64;
/** Seeds on one sheet: each is a request of its own. */
export const MOST_CELLS = 100;

export interface Play {
  view: View;
  /** NAME, NAME@VERSION or NAME@ALIAS; empty: the default model. */
  model: string;
  /** Where the sheet and the map of seeds begin, what the grid and the variations are of. */
  seed: bigint;
  /** Images in the sheet or in the grid. */
  n: number;
  /** A class by name; empty: drawn for each image. */
  class: string;
  psi: number;
  /** The seed that is looked at closely: of the sheet, or where a variation leads. */
  pick: bigint | null;
  /** The seeds that the walk goes through. */
  stops: bigint[];
  frames: number;
  fps: number;
  /** How far variations lead towards another seed: 1 is all the way. */
  reach: number;
}

export const DEFAULTS: Play = {
  view: "seeds",
  model: "",
  seed: 0n,
  n: 25,
  class: "",
  psi: 1,
  pick: null,
  stops: [],
  frames: 120,
  fps: 30,
  reach: 0.5,
};

export function read(query: URLSearchParams): Play {
  const view = VIEWS.find((known) => known === query.get("view")) ?? DEFAULTS.view;
  const stops = (query.get("seeds") ?? "").split(",").map(seedOf);
  return {
    view,
    model: query.get("model") ?? DEFAULTS.model,
    seed: seedOf(query.get("seed")) ?? DEFAULTS.seed,
    n: Math.round(within(query.get("n"), 1, MAX_COUNT, DEFAULTS.n)),
    class: query.get("class") ?? DEFAULTS.class,
    psi: within(query.get("psi"), 0, 2, DEFAULTS.psi),
    pick: seedOf(query.get("pick")),
    stops: stops.filter((stop) => stop !== null).slice(0, MAX_STOPS),
    frames: Math.round(within(query.get("frames"), 2, MAX_COUNT, DEFAULTS.frames)),
    fps: within(query.get("fps"), 1, 60, DEFAULTS.fps),
    reach: within(query.get("reach"), 0.05, 1, DEFAULTS.reach),
  };
}

export function write(play: Play): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS) as (keyof Play)[]) {
    const value = play[name];
    if (value === null || value === DEFAULTS[name]) continue;
    if (Array.isArray(value)) {
      if (value.length) query.set("seeds", value.join(","));
    } else query.set(name, String(value));
  }
  return query;
}

/** Read a seed; null where the text is none. */
export function seedOf(text: string | null): bigint | null {
  if (text === null || !/^\d{1,19}$/.test(text)) return null;
  const seed = BigInt(text);
  return seed <= MAX_SEED ? seed : null;
}

/** The seed some steps on; after the last comes the first. */
export function step(seed: bigint, by: number | bigint): bigint {
  const count = MAX_SEED + 1n;
  return (((seed + BigInt(by)) % count) + count) % count;
}

/** The seeds of the sheet or the map, in order. */
export function seedsFrom(seed: bigint, count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => step(seed, index));
}

/** Seeds that variations of one lead towards: always the same ones, far from each other. */
export function directions(seed: bigint, count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => step(seed, BigInt(index + 1) * 1_000_003n));
}

/** Any seed that people can still read aloud. */
export function randomSeed(): bigint {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
}

function within(text: string | null, low: number, high: number, fallback: number): number {
  const value = text === null || text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : fallback;
}
