// How runs are spoken of: states, verdicts, lengths.

import type { Run } from "../../api/types.ts";
import { duration, round } from "../../figures.ts";
import type { Tone } from "../../ui/Chip.tsx";

export const STATE_TONES: Record<Run["state"], Tone | undefined> = {
  queued: undefined,
  running: "accent",
  paused: "warn",
  succeeded: "good",
  failed: "bad",
  cancelled: undefined,
};

/** A state in words, with what was asked for and has not happened yet. */
export function stateOf({ state, wanted, queue_position: position }: Run): string {
  if (wanted) return `${state}, to be ${wanted}`;
  return state === "queued" && position !== null ? `queued, number ${position}` : state;
}

/** How far a run is, in a line. */
export function progressOf({ state, progress }: Run): string {
  const { kimg, total_kimg: total, images_per_second: speed, eta_seconds: eta } = progress;
  const parts = [`${round(kimg)}${total === null ? "" : ` of ${round(total)}`} kimg`];
  if (progress.epoch) parts.push(`epoch ${round(progress.epoch)}`);
  if (state === "running" && speed) parts.push(`${round(speed)} images/s`);
  if (state === "running")
    parts.push(eta === null ? "time left not known before the warm-up is over" : `${duration(eta)} left`);
  return parts.join(" · ");
}

const BAD = new Set(["failed", "diverged", "exploding", "discriminator_won", "collapsed", "stopped"]);

export function verdictTone(verdict: string): Tone {
  if (verdict === "healthy") return "good";
  return BAD.has(verdict) ? "bad" : "warn";
}

export function spoken(name: string): string {
  return name.replaceAll("_", " ");
}
