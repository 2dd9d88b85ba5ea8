// The presets: they ship with Atelier and do not change while it runs.

import { signal } from "@preact/signals";
import { listAll } from "../api/client.ts";
import type { Preset } from "../api/types.ts";

/** Null until they are loaded. */
export const presets = signal<Preset[] | null>(null);

let loading: Promise<void> | null = null;

/** Load the presets once; after an error, the next call tries again. */
export function loadPresets(): Promise<void> {
  loading ??= listAll("GET /presets", {}).then(
    (items) => {
      presets.value = items;
    },
    (error: unknown) => {
      loading = null;
      throw error;
    },
  );
  return loading;
}
