// Play's state, which is its address: read as a signal, changed by going elsewhere.

import { computed } from "@preact/signals";
import type { Model } from "../../api/types.ts";
import { addressOf, navigate, place } from "../../router.ts";
import { defaultRef, models } from "../../stores/models.ts";
import { served } from "../../stores/versions.ts";
import { type Play, read, write } from "./state.ts";

export const play = computed(() => read(place.value.query));

/** The version that `model` means now, pinned; empty until it is known, or where there is none of that name. */
export const ref = computed(() => pinned(play.value.model, models.value) ?? "");

/** Give the address of Play with something changed. */
export function hrefWith(changes: Partial<Play>): string {
  return addressOf("/play", write({ ...play.value, ...changes }));
}

/** Change something. Moving a slider is no place to come back to: then `replace`. */
export function change(changes: Partial<Play>, options: { replace?: boolean } = {}): void {
  navigate(hrefWith(changes), options);
}

function pinned(wanted: string, known: Model[] | null): string | null {
  if (wanted === "") return defaultRef.value;
  if (/@\d+$/.test(wanted)) return wanted;
  if (known === null) return null;
  const [name, alias] = wanted.split("@");
  const model = known.find((one) => one.name === name);
  // What is not there is asked for all the same: the service says so best.
  const number = alias === undefined ? model && served(model)?.version : model?.aliases[alias];
  return number === undefined ? wanted : `${name}@${number}`;
}
