// Seed arithmetic, and the geometry of the map of seeds.

export const MAX_SEED = 2n ** 63n - 1n;
/** Most stops of a walk. */
export const MAX_STOPS = 64;

/** Parse a seed; null where the text is not a valid one. */
export function parseSeed(text: string | null): bigint | null {
  if (text === null || !/^\d{1,19}$/.test(text)) return null;
  const seed = BigInt(text);
  return seed <= MAX_SEED ? seed : null;
}

/** The seed `by` places further; 0 follows the last one. */
export function offsetSeed(seed: bigint, by: number | bigint): bigint {
  const count = MAX_SEED + 1n;
  return (((seed + BigInt(by)) % count) + count) % count;
}

/** Consecutive seeds. */
export function seedsFrom(seed: bigint, count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => offsetSeed(seed, index));
}

/** Seeds that the variations of one seed lead towards: always the same ones, and no neighbours in the map. */
export function variationTargets(seed: bigint, count: number): bigint[] {
  return Array.from({ length: count }, (_, index) => offsetSeed(seed, BigInt(index + 1) * 1_000_003n));
}

/** A random seed of at most ten digits, short enough to read aloud. */
export function randomSeed(): bigint {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
}

export const COLUMNS = 8;
export const ROWS = 5;
export const CELLS = COLUMNS * ROWS;

export interface Point {
  x: number;
  y: number;
}

/** The centre of a cell of the map, in cells from the top left. */
export function cellCentre(cell: number): Point {
  return { x: (cell % COLUMNS) + 0.5, y: Math.floor(cell / COLUMNS) + 0.5 };
}

/** The cell at a position of the map, where `x` and `y` are fractions from 0 to 1; null outside of it. */
export function cellAt({ x, y }: Point): number | null {
  if (x < 0 || x >= 1 || y < 0 || y >= 1) return null;
  return Math.floor(y * ROWS) * COLUMNS + Math.floor(x * COLUMNS);
}

/** Append a stop to the walk, or remove it if it is one. */
export function toggleStop(stops: bigint[], seed: bigint): bigint[] {
  if (stops.includes(seed)) return stops.filter((stop) => stop !== seed);
  return stops.length < MAX_STOPS ? [...stops, seed] : stops;
}

/** The closed path through the stops on the map, as SVG path data. */
export function walkPath(points: Point[]): string {
  if (points.length < 2) return "";
  return `M${points.map(({ x, y }) => `${x} ${y}`).join("L")}Z`;
}
