// Derived facts about a model's versions: the served one, the previous one, aliases, the best score.

import type { Model, Score, Version } from "../api/types.ts";
import { isBetter } from "./scores.ts";

export const BEST = "best";
export const LATEST = "latest";

/** The version that a bare name resolves to: alias `best`, else `latest`; null without a complete version. */
export function servedVersion(model: Model): Version | null {
  const number = model.aliases[BEST] ?? model.aliases[LATEST];
  return model.versions.find((version) => version.version === number) ?? null;
}

/** The last complete version before the served one: the target of a rollback. */
export function previousVersion(model: Model): Version | null {
  const current = servedVersion(model);
  const before = model.versions.filter(
    ({ state, version }) => state === "whole" && current && version < current.version,
  );
  return before.at(-1) ?? null;
}

/** The aliases of a version, `best` and `latest` first. */
export function aliasesOf(model: Model, version: number): string[] {
  const rank = (alias: string) => [BEST, LATEST].indexOf(alias) + 1 || 3;
  return Object.keys(model.aliases)
    .filter((alias) => model.aliases[alias] === version)
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** Why a version cannot be deleted; null if it can be. */
export function deletionBlocker(model: Model, version: number): string | null {
  if (model.read_only) return `${model.name} ships with Atelier and cannot be changed.`;
  const aliases = aliasesOf(model, version).filter((alias) => alias !== LATEST);
  return aliases.length ? `${aliases.join(" and ")} points at it: move the alias first.` : null;
}

/** Order models by their last version's date, newest first; the ones that ship come last. */
export function byRecency(a: Model, b: Model): number {
  const date = (model: Model) => model.versions.at(-1)?.created_at ?? "";
  return Number(a.read_only) - Number(b.read_only) || date(b).localeCompare(date(a)) || a.name.localeCompare(b.name);
}

/** Whether no version has a better score; false without another version of the same protocol to compare with. */
export function isBestScore(model: Model, name: string, score: Score): boolean {
  const comparable = model.versions
    .map((version) => version.scores[name])
    .filter((other): other is Score => other?.protocol === score.protocol);
  return comparable.length > 1 && !comparable.some((other) => isBetter(other, score));
}
