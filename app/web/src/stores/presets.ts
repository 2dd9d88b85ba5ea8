// The presets: they come with Atelier and do not change while it runs.

import { signal } from "@preact/signals";
import { all } from "../api/client.ts";
import type { Preset } from "../api/types.ts";

/** Null until they are known. */
export const presets = signal<Preset[] | null>(null);

let asking: Promise<void> | null = null;

/** Load the presets, once. */
export function keepPresets(): Promise<void> {
  asking ??= all("GET /presets", {}).then(
    (items) => {
      presets.value = items;
    },
    (error: unknown) => {
      asking = null;
      throw error;
    },
  );
  return asking;
}
