// The models and the default version: loaded on first use, then kept current by the event stream.

import { effect, signal } from "@preact/signals";
import { buildUrl, call, fetchOk, listAll } from "../api/client.ts";
import type { Manifest, Model } from "../api/types.ts";
import { on, onReconnect, stream } from "../events.ts";
import { createRefresher } from "./refresher.ts";
import { byRecency } from "./versions.ts";

/** Newest first; null until they are loaded. */
export const models = signal<Model[] | null>(null);
export const modelsError = signal<unknown>(null);

let tracking = false;

/** Load the models and follow their events; further calls do nothing. */
export function trackModels(): void {
  if (tracking) return;
  tracking = true;
  on("model", () => void refreshModels());
  onReconnect(() => void refreshModels());
  // A key without the scope for events has no stream: refresh whenever the window gets the focus instead.
  addEventListener("focus", () => stream.value === "off" && void refreshModels());
  void refreshModels();
}

const list = createRefresher(
  () => listAll("GET /models", {}),
  (items) => {
    models.value = items.sort(byRecency);
    modelsError.value = null;
  },
  (error) => {
    modelsError.value = error;
  },
);
export const refreshModels = list.refresh;

/** Store the newest view of one model. */
export function putModel(model: Model): void {
  list.invalidate();
  models.value = (models.value ?? []).map((known) => (known.name === model.name ? model : known));
}

const manifests = new Map<string, Promise<Manifest>>();

/** Load a version's manifest. Versions are immutable, so each manifest is fetched once. */
export function loadManifest(name: string, version: number): Promise<Manifest> {
  const ref = `${name}@${version}`;
  const known = manifests.get(ref);
  if (known) return known;
  const loading = call("GET /models/{name}@{reference}", { path: { name, reference: String(version) } });
  manifests.set(ref, loading);
  loading.catch(() => manifests.delete(ref));
  return loading;
}

/** The version that serves requests without a model's name; null until it is known. */
export const defaultRef = signal<string | null>(null);
/** Why it is not known: there is no such model, or it cannot serve now. */
export const defaultError = signal<unknown>(null);

// Only the header of a sample says which version the default is.
const readDefault = createRefresher(
  () => fetchOk(buildUrl("GET /samples", { query: { n: 1, seed: 0 } })),
  ({ headers }) => {
    defaultRef.value = headers.get("X-Atelier-Model");
    defaultError.value = null;
  },
  (error) => {
    defaultError.value = error;
  },
);

let trackingDefault = false;

/** Find out which version is the default; that may change whenever a version arrives. */
export function trackDefaultVersion(): void {
  if (trackingDefault) return;
  trackingDefault = true;
  effect(() => {
    if (models.value === null) return;
    void readDefault.refresh();
  });
}
