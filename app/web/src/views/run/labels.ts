// Labels of runs: state, progress, verdict.

import type { Run } from "../../api/types.ts";
import { duration, round } from "../../format.ts";
import type { Severity } from "../../stores/verdicts.ts";
import type { Tone } from "../../ui/parts.tsx";

export const STATE_TONES: Record<Run["state"], Tone | undefined> = {
  queued: undefined,
  running: "accent",
  paused: "warn",
  succeeded: "good",
  failed: "bad",
  cancelled: undefined,
};

/** A run's state, with a requested change that has not happened yet, or its place in the queue. */
export function stateLabel({ state, wanted, queue_position: position }: Run): string {
  if (wanted) return `${state}, to be ${wanted}`;
  return state === "queued" && position !== null ? `queued, number ${position}` : state;
}

/** A run's progress in one line. */
export function progressLabel({ state, progress }: Run): string {
  const { kimg, total_kimg: total, images_per_second: speed, eta_seconds: eta } = progress;
  const parts = [`${round(kimg)}${total === null ? "" : ` of ${round(total)}`} kimg`];
  if (progress.epoch) parts.push(`epoch ${round(progress.epoch)}`);
  if (state === "running" && speed) parts.push(`${round(speed)} images/s`);
  if (state === "running") parts.push(eta === null ? "time left unknown until warm-up ends" : `${duration(eta)} left`);
  return parts.join(" · ");
}

export const SEVERITY_TONES: Record<Severity, Tone> = {
  good: "good",
  early: "accent",
  warning: "warn",
  failure: "bad",
};
