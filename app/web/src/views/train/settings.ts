// Training settings as form fields: the resolved values, and the overrides that a user types.

import type { Schemas } from "../../api/schema";
import { type Choices, choicesOf, type SchemaNodes } from "../../stores/schema.ts";

export type Config = Schemas["TrainingConfig"];
/** A configuration: complete, or as a preset declares it. */
export type Values = Config | Record<string, unknown>;
export type Override = NonNullable<Schemas["TrainRequest"]["overrides"]>[string];

export interface Setting {
  /** Dotted path as in overrides, such as `generator.lr`. */
  name: string;
  value: Override;
  /** The values to choose from; null where any value may be typed. */
  choices: Choices | null;
}

export interface Group {
  title: string;
  settings: Setting[];
}

// Settings that have their own fields in the form, or that follow from the data set.
const EXCLUDED = new Set([
  "preset",
  "dataset",
  "model",
  "seed",
  "epochs",
  "kimg",
  "classes",
  "conditional",
  "transfer.version",
]);

/** Group a configuration's settings: those at the top level as "training", then one group for each part. */
export function groupsOf(config: Values, schemas: SchemaNodes): Group[] {
  const groups = new Map<string, Setting[]>();
  for (const [name, value] of leaves(config as Record<string, unknown>, "")) {
    const top = name.includes(".") ? name.slice(0, name.indexOf(".")) : "training";
    // Another family would need other settings than the ones that are listed: presets choose it.
    if (EXCLUDED.has(name) || name.endsWith(".family")) continue;
    const setting = { name, value, choices: choicesOf(schemas, "TrainingConfig", name) };
    groups.set(top, [...(groups.get(top) ?? []), setting]);
  }
  return [...groups].map(([title, settings]) => ({ title, settings }));
}

function* leaves(values: Record<string, unknown>, prefix: string): Generator<[string, Override]> {
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      yield* leaves(value as Record<string, unknown>, `${prefix}${name}.`);
    } else yield [prefix + name, value as Override];
  }
}

/** Format a value for a text field. */
export function formatValue(value: Override): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Parse typed text as JSON: a number, a list, `true`; anything else is a string. */
export function parseValue(text: string): Override {
  try {
    return JSON.parse(text) as Override;
  } catch {
    return text;
  }
}
