// Where the stops of a walk lie on a map of seeds, and what moving them means; no drawing.

import { MAX_STOPS } from "./state.ts";

export const COLUMNS = 8;
export const ROWS = 5;
export const CELLS = COLUMNS * ROWS;

export interface Point {
  x: number;
  y: number;
}

/** The middle of a cell, in cells from the top left. */
export function middle(cell: number): Point {
  return { x: (cell % COLUMNS) + 0.5, y: Math.floor(cell / COLUMNS) + 0.5 };
}

/** The cell at a place of the map, of which `x` and `y` are parts from 0 to 1; null beside it. */
export function cellAt({ x, y }: Point): number | null {
  if (x < 0 || x >= 1 || y < 0 || y >= 1) return null;
  return Math.floor(y * ROWS) * COLUMNS + Math.floor(x * COLUMNS);
}

/** Set a stop at the end of the walk, or take it away if it is one. */
export function toggled(stops: bigint[], seed: bigint): bigint[] {
  if (stops.includes(seed)) return stops.filter((stop) => stop !== seed);
  return stops.length < MAX_STOPS ? [...stops, seed] : stops;
}

/** Put another seed in a stop's place. */
export function moved(stops: bigint[], index: number, seed: bigint): bigint[] {
  return stops.with(index, seed);
}

/** The way through those stops that are on the map, from each to the next and back: an SVG path. */
export function path(points: Point[]): string {
  if (points.length < 2) return "";
  return `M${points.map(({ x, y }) => `${x} ${y}`).join("L")}Z`;
}
