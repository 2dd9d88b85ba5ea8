// What follows from a model's versions and aliases: which one is served, which came before, which scored best.

import type { Model, Score, Version } from "../api/types.ts";

export const BEST = "best";
export const LATEST = "latest";

/** The version that a bare name means: `best`, or `latest` where nothing is best; null where none is whole. */
export function served(model: Model): Version | null {
  const number = model.aliases[BEST] ?? model.aliases[LATEST];
  return model.versions.find((version) => version.version === number) ?? null;
}

/** The whole version before the one that is served: where rolling back leads. */
export function previous(model: Model): Version | null {
  const now = served(model);
  const before = model.versions.filter(({ state, version }) => state === "whole" && now && version < now.version);
  return before.at(-1) ?? null;
}

/** The aliases that point at a version, `best` and `latest` first. */
export function aliasesOf(model: Model, version: number): string[] {
  const rank = (alias: string) => [BEST, LATEST].indexOf(alias) + 1 || 3;
  return Object.keys(model.aliases)
    .filter((alias) => model.aliases[alias] === version)
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** Why a version cannot be deleted; null if it can be. */
export function heldBy(model: Model, version: number): string | null {
  if (model.read_only) return `${model.name} ships with Atelier and cannot be changed.`;
  const aliases = aliasesOf(model, version).filter((alias) => alias !== LATEST);
  return aliases.length ? `${aliases.join(" and ")} points at it: move that first.` : null;
}

/** Newest first, by the last version that is dated; what ships comes last. */
export function byRecency(a: Model, b: Model): number {
  const date = (model: Model) => model.versions.at(-1)?.created_at ?? "";
  return Number(a.read_only) - Number(b.read_only) || date(b).localeCompare(date(a)) || a.name.localeCompare(b.name);
}

/** Whether a version's score is the best of all versions that were measured in the same way. */
export function isBestScore(model: Model, name: string, score: Score): boolean {
  const comparable = model.versions
    .map((version) => version.scores[name])
    .filter((other): other is Score => other?.protocol === score.protocol);
  const values = comparable.map(({ value }) => value);
  const best = score.lower_is_better === false ? Math.max(...values) : Math.min(...values);
  return comparable.length > 1 && score.value === best;
}
