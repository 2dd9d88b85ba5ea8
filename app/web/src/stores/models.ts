// The models, as the service lists them; kept up to date by the event stream once somebody has asked for them.

import { effect, signal } from "@preact/signals";
import { address, all, ask, call } from "../api/client.ts";
import { reading } from "../api/reading.ts";
import type { Manifest, Model } from "../api/types.ts";
import { on, onReturn, stream } from "../events.ts";
import { byRecency } from "./versions.ts";

/** Newest first; null until they are known. */
export const models = signal<Model[] | null>(null);
export const modelsError = signal<unknown>(null);

let asked = false;

/** Load the models, and keep them; calling it again costs nothing. */
export function keepModels(): void {
  if (asked) return;
  asked = true;
  on("model", () => void refreshModels());
  onReturn(() => void refreshModels());
  // Without the scope for events, a look whenever somebody comes back has to do.
  addEventListener("focus", () => stream.value === "off" && void refreshModels());
  void refreshModels();
}

const list = reading(
  () => all("GET /models", {}),
  (items) => {
    models.value = items.sort(byRecency);
    modelsError.value = null;
  },
  (error) => {
    modelsError.value = error;
  },
);
export const refreshModels = list.now;

/** Take over what the service answered about one model. */
export function putModel(model: Model): void {
  list.heard();
  models.value = (models.value ?? []).map((known) => (known.name === model.name ? model : known));
}

const manifests = new Map<string, Promise<Manifest>>();

/** Give a version's manifest; versions never change, so each is asked for once. */
export function manifestOf(name: string, version: number): Promise<Manifest> {
  const ref = `${name}@${version}`;
  const known = manifests.get(ref);
  if (known) return known;
  const asking = call("GET /models/{name}@{reference}", { path: { name, reference: String(version) } });
  manifests.set(ref, asking);
  asking.catch(() => manifests.delete(ref));
  return asking;
}

/** The version that is painted with where no model is named; null until it is known. */
export const defaultRef = signal<string | null>(null);
/** Why it is not: there is no such model, or it cannot be painted with now. */
export const defaultError = signal<unknown>(null);

const readDefault = reading(
  () => ask(address("GET /samples", { query: { n: 1, seed: 0 } })),
  ({ headers }) => {
    defaultRef.value = headers.get("X-Atelier-Model");
    defaultError.value = null;
  },
  (error) => {
    defaultError.value = error;
  },
);

let askedDefault = false;

/** Find out which version is the default; it may be another whenever one arrives. */
export function keepDefault(): void {
  if (askedDefault) return;
  askedDefault = true;
  effect(() => {
    if (models.value === null) return;
    void readDefault.now();
  });
}
