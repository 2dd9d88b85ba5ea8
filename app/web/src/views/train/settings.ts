// A training's settings as fields: what the service would take them to be, and what somebody typed instead.

import type { Schemas } from "../../api/schema";

export type Config = Schemas["TrainingConfig"];
/** A configuration, whole or as a preset has it. */
export type Values = Config | Record<string, unknown>;
export type Override = NonNullable<Schemas["TrainRequest"]["overrides"]>[string];

export interface Setting {
  /** As overrides name it, such as `generator.lr`. */
  name: string;
  value: Override;
  /** All values that it can have, where they are words. */
  words: readonly string[] | null;
}

export interface Group {
  title: string;
  settings: Setting[];
}

// What the form has fields of its own for, or what follows from the data set.
const ELSEWHERE = new Set(["preset", "dataset", "model", "seed", "epochs", "kimg", "classes", "conditional"]);

const WORDS: Record<string, readonly string[]> = {
  loss: [
    "non_saturating",
    "minimax",
    "least_squares",
    "hinge",
    "wasserstein",
    "relativistic",
  ] satisfies Config["loss"][],
  precision: ["auto", "fp32", "bf16"] satisfies Config["precision"][],
  guard: ["full", "numbers"] satisfies Config["guard"][],
  "penalty.kind": ["none", "gradient", "r1_r2"] satisfies Schemas["Penalty"]["kind"][],
  "augment.control": ["constant", "cosine", "adaptive"] satisfies Schemas["Augmentation"]["control"][],
  "latent.prior": ["normal", "uniform"] satisfies Schemas["Latent"]["prior"][],
};

/** Lay a configuration out: what stands alone first, then a group for each of its parts. */
export function groupsOf(config: Values): Group[] {
  const groups = new Map<string, Setting[]>();
  for (const [name, value] of leaves(config as Record<string, unknown>, "")) {
    const top = name.includes(".") ? name.slice(0, name.indexOf(".")) : "training";
    if (ELSEWHERE.has(name) || name.endsWith(".family")) continue;
    groups.set(top, [...(groups.get(top) ?? []), { name, value, words: WORDS[name] ?? null }]);
  }
  return [...groups].map(([title, settings]) => ({ title, settings }));
}

function* leaves(values: Record<string, unknown>, above: string): Generator<[string, Override]> {
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      yield* leaves(value as Record<string, unknown>, `${above}${name}.`);
    } else yield [above + name, value as Override];
  }
}

/** Write a setting as it is typed. */
export function write(value: Override): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Read what was typed: a number, a list, `true`; what is none of these is a word. */
export function read(text: string): Override {
  try {
    return JSON.parse(text) as Override;
  } catch {
    return text;
  }
}
