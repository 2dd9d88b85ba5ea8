// Names and descriptions of scores, the primary score, and the best snapshot. Only scores of one protocol are compared.

import type { Score, Snapshot } from "../api/types.ts";

/** The score that selects the best snapshot: the first one; null before the first evaluation. */
export function primaryScore(scores: Record<string, Score>): { name: string; score: Score } | null {
  const [first] = Object.entries(scores);
  return first ? { name: first[0], score: first[1] } : null;
}

/** Lower is better unless a score says otherwise. */
export function isLowerBetter(score: Score): boolean {
  return score.lower_is_better !== false;
}

/** Whether a score is strictly better than another one; scores of different protocols are never compared. */
export function isBetter(score: Score, other: Score): boolean {
  if (score.protocol !== other.protocol) return false;
  return isLowerBetter(score) ? score.value < other.value : score.value > other.value;
}

/** The first of the best-scoring snapshots among those with the newest one's protocol. */
export function bestSnapshot(snapshots: Snapshot[]): Snapshot | null {
  const newest = snapshots.findLast(({ scores }) => primaryScore(scores));
  const protocol = primaryScore(newest?.scores ?? {})?.score.protocol;
  let best: { snapshot: Snapshot; score: Score } | null = null;
  for (const snapshot of snapshots) {
    const score = primaryScore(snapshot.scores)?.score;
    if (score?.protocol === protocol && score && (!best || isBetter(score, best.score))) best = { snapshot, score };
  }
  return best?.snapshot ?? null;
}

// Titles and descriptions by the score's name without its extractor.
const KNOWN: Record<string, [title: string, description: string]> = {
  classifier_frechet: [
    "Fréchet distance (classifier)",
    "Distance between generated and real images in the features of a small classifier trained on this data set.",
  ],
  efficientnet_kid: [
    "Kernel distance",
    "Kernel distance between generated and held-out images in features of EfficientNet-Lite2, which no training uses.",
  ],
  efficientnet_frechet: [
    "Fréchet distance (EfficientNet)",
    "Distance between generated and held-out images in features of EfficientNet-Lite2, which no training uses.",
  ],
  fid: ["FID", "Fréchet distance between generated and real images in Inception features."],
  kid: ["KID", "Kernel distance between generated and real images in Inception features."],
  sliced_wasserstein: [
    "Sliced Wasserstein distance",
    "Distance between patches of generated and of real images, at every scale.",
  ],
  precision: ["Precision", "The share of generated images that look like the data."],
  density: ["Density", "How densely generated images lie among the real ones."],
  recall: ["Recall", "The share of the data that the generator can produce."],
  coverage: ["Coverage", "The share of the data with a generated image close to it."],
  balance: ["Class balance", "Distance between the classes of generated images and those of the data: 0 is equal."],
  diversity: [
    "Diversity",
    "Distance between generated images: 1 is as much as between real ones, near 0 they are all alike.",
  ],
};
const EXTRACTORS: Record<string, string> = { classifier: "classifier", inception: "Inception" };

function parseScoreName(score: string): { kind: string; extractor: string | undefined; isFinal: boolean } {
  const plain = score.replace(/_final$/, "");
  const [first = "", ...rest] = plain.split("_");
  const extractor = KNOWN[plain] ? undefined : EXTRACTORS[first];
  return { kind: extractor ? rest.join("_") : plain, extractor, isFinal: plain !== score };
}

/** A score's title; an unknown score is shown by its name. */
export function scoreTitle(score: string): string {
  const { kind, extractor, isFinal } = parseScoreName(score);
  const title = KNOWN[kind]?.[0] ?? kind.replaceAll("_", " ");
  return `${title}${extractor ? ` (${extractor})` : ""}${isFinal ? ", at the end" : ""}`;
}

/** What a score measures, in a sentence; empty for unknown scores. */
export function scoreDescription(score: string): string {
  return KNOWN[parseScoreName(score).kind]?.[1] ?? "";
}

/** How many samples are copies of training images, in a sentence. */
export function memorisationSentence({ value }: Score): string {
  const share = `${Math.round(100 * value)} %`;
  return `${share} of the samples are nearer to a training image than a new image is: 50 % is ideal, 100 % are copies.`;
}
