// Play's current state: a signal that is derived from the page's URL and changed by navigation.

import { computed } from "@preact/signals";
import type { Model } from "../../api/types.ts";
import { currentUrl, formatUrl, navigate } from "../../router.ts";
import { defaultRef, models } from "../../stores/models.ts";
import { servedVersion } from "../../stores/versions.ts";
import { formatState, type PlayState, parseState } from "./query.ts";

export const state = computed(() => parseState(currentUrl.value.query));

/** The version that the state's model resolves to, as NAME@VERSION; empty until it is known. */
export const modelRef = computed(() => resolveRef(state.value.model, models.value) ?? "");

/** The URL of Play with some of its state changed. */
export function hrefWith(changes: Partial<PlayState>): string {
  return formatUrl("/play", formatState({ ...state.value, ...changes }));
}

/** Change the state. `replace`: without an entry in the browser's history, as while a slider moves. */
export function updateState(changes: Partial<PlayState>, options: { replace?: boolean } = {}): void {
  navigate(hrefWith(changes), options);
}

function resolveRef(requested: string, known: Model[] | null): string | null {
  if (requested === "") return defaultRef.value;
  if (/@\d+$/.test(requested)) return requested;
  if (known === null) return null;
  const [name, alias] = requested.split("@");
  const model = known.find((each) => each.name === name);
  const version = alias === undefined ? model && servedVersion(model)?.version : model?.aliases[alias];
  // An unknown model is requested all the same: the service's error says best what is wrong.
  return version === undefined ? requested : `${name}@${version}`;
}
