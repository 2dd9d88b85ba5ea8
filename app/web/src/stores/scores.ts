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

// What each score is called, and what it tells.
const KNOWN: Record<string, [name: string, meaning: string]> = {
  classifier_frechet: [
    "Fréchet distance (classifier)",
    "How far the images are from real ones, as a small classifier of this very data sees them.",
  ],
  fid: ["FID", "How far the images are from real ones, as Inception sees them: Fréchet distance."],
  kid: ["KID", "How far the images are from real ones, as Inception sees them: kernel distance."],
  sliced_wasserstein: [
    "Sliced Wasserstein distance",
    "How far patches of the images are from patches of real ones, at every scale.",
  ],
  precision: ["Precision", "How much of what is painted is like the data."],
  density: ["Density", "How closely what is painted lies among the data."],
  recall: ["Recall", "How much of the data could have been painted."],
  coverage: ["Coverage", "How much of the data has something painted near it."],
  balance: ["Class balance", "How far the classes of what is painted are from the data's: 0 is not at all."],
  diversity: ["Diversity", "How far images are from each other: 1 is as far as real ones, near 0 they are all alike."],
};
const EYES: Record<string, string> = { classifier: "classifier", inception: "Inception" };

function partsOf(score: string): { kind: string; eyes: string | undefined; final: boolean } {
  const plain = score.replace(/_final$/, "");
  const [first = "", ...rest] = plain.split("_");
  const eyes = KNOWN[plain] ? undefined : EYES[first];
  return { kind: eyes ? rest.join("_") : plain, eyes, final: plain !== score };
}

/** A score's name as people know it; one that is not known here is shown as it is. */
export function scoreName(score: string): string {
  const { kind, eyes, final } = partsOf(score);
  const name = KNOWN[kind]?.[0] ?? kind.replaceAll("_", " ");
  return `${name}${eyes ? ` (${eyes})` : ""}${final ? ", at the end" : ""}`;
}

/** What a score tells, in a sentence; empty where that is not known here. */
export function meaningOf(score: string): string {
  return KNOWN[partsOf(score).kind]?.[1] ?? "";
}
