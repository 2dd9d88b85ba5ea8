// The dial from quick to best: a share of the length that a preset would train for.

import type { Config } from "./settings.ts";

export interface Stop {
  share: number;
  label: string;
}

export const STOPS: Stop[] = [
  { share: 0.02, label: "quick: a fiftieth" },
  { share: 0.05, label: "a twentieth" },
  { share: 0.1, label: "a tenth" },
  { share: 0.25, label: "a quarter" },
  { share: 0.5, label: "half" },
  { share: 1, label: "best: all" },
];

export const ALL = STOPS.length - 1;

/** The stop that an address names; all of the length where it names none. */
export function stopOf(text: string | null): number {
  const stop = Number(text ?? ALL);
  return STOPS[stop] ? stop : ALL;
}

/** Give the length of a share of a full training, as a request says it; the full one need not be said. */
export function lengthOf(full: Config, share: number): { epochs?: number; kimg?: number } {
  if (share === 1) return {};
  if (full.epochs != null) return { epochs: short(full.epochs * share) };
  return full.kimg != null ? { kimg: short(full.kimg * share) } : {};
}

function short(value: number): number {
  return Number(value.toPrecision(2));
}
