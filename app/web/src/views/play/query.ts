// Play's state as a query string: parsing never fails, and formatting omits defaults.

import { MAX_STOPS, parseSeed } from "./seeds.ts";

export const VIEWS = ["seeds", "grid", "walk", "variations"] as const;
export type View = (typeof VIEWS)[number];

export const MAX_COUNT = 4096;
/** Most images in the view of seeds: each is a request of its own. */
export const MAX_CELLS = 100;

/** The fields are named as their query parameters, except for `stops`, which is `seeds`. */
export interface PlayState {
  view: View;
  /** NAME, NAME@VERSION or NAME@ALIAS; empty: the default model. */
  model: string;
  /** The first seed of the seeds view and of the map; the seed of the grid and of the variations. */
  seed: bigint;
  /** Number of images in the seeds view or in the grid. */
  n: number;
  /** Name of a class; empty: drawn from the seed for each image. */
  class: string;
  psi: number;
  /** The selected seed: in the seeds view, or the target of a variation. */
  pick: bigint | null;
  /** The seeds of the walk, in order. */
  stops: bigint[];
  frames: number;
  fps: number;
  /** How far variations go towards another seed: 1 is all the way. */
  reach: number;
}

export const DEFAULTS: PlayState = {
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

// The names of views in older links and in the history that browsers have stored.
const OLD_VIEWS: Record<string, View> = { near: "variations" };

export function parseState(query: URLSearchParams): PlayState {
  const view = query.get("view") ?? "";
  const stops = (query.get("seeds") ?? "").split(",").map(parseSeed);
  return {
    view: VIEWS.find((known) => known === view) ?? OLD_VIEWS[view] ?? DEFAULTS.view,
    model: query.get("model") ?? DEFAULTS.model,
    seed: parseSeed(query.get("seed")) ?? DEFAULTS.seed,
    n: Math.round(parseNumber(query.get("n"), 1, MAX_COUNT, DEFAULTS.n)),
    class: query.get("class") ?? DEFAULTS.class,
    psi: parseNumber(query.get("psi"), 0, 2, DEFAULTS.psi),
    pick: parseSeed(query.get("pick")),
    stops: stops.filter((stop) => stop !== null).slice(0, MAX_STOPS),
    frames: Math.round(parseNumber(query.get("frames"), 2, MAX_COUNT, DEFAULTS.frames)),
    fps: parseNumber(query.get("fps"), 1, 60, DEFAULTS.fps),
    reach: parseNumber(query.get("reach"), 0.05, 1, DEFAULTS.reach),
  };
}

export function formatState(state: PlayState): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS) as (keyof PlayState)[]) {
    const value = state[name];
    if (value === null || value === DEFAULTS[name]) continue;
    if (Array.isArray(value)) {
      if (value.length) query.set("seeds", value.join(","));
    } else query.set(name, String(value));
  }
  return query;
}

// Numbers out of range are clamped; text that is no number is replaced.
function parseNumber(text: string | null, low: number, high: number, fallback: number): number {
  const value = text === null || text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : fallback;
}
