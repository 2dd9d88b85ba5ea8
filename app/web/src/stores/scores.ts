// Which score decides, and which snapshot has the best: only what was measured in the same way is compared.

import type { Score, Snapshot } from "../api/types.ts";

/** The score that decides which snapshot is the best; null before the first evaluation. */
export function decisive(scores: Record<string, unknown>): { name: string; score: Score } | null {
  const [first] = Object.entries(scores as Record<string, Score>);
  return first ? { name: first[0], score: first[1] } : null;
}

/** The best-scoring snapshot, of those that were measured as the newest one was. */
export function bestOf(snapshots: Snapshot[]): Snapshot | null {
  let best: Snapshot | null = null;
  const protocol = decisive(snapshots.findLast(({ scores }) => decisive(scores))?.scores ?? {})?.score.protocol;
  for (const snapshot of snapshots) {
    const found = decisive(snapshot.scores)?.score;
    const before = decisive(best?.scores ?? {})?.score;
    if (!found || found.protocol !== protocol) continue;
    const isBetter =
      !before || (found.lower_is_better === false ? found.value > before.value : found.value < before.value);
    if (isBetter) best = snapshot;
  }
  return best;
}
