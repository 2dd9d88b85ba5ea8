// The data sets: loaded on first use, then kept current by the event stream.

import { signal } from "@preact/signals";
import { listAll } from "../api/client.ts";
import type { Dataset } from "../api/types.ts";
import { on, onReconnect } from "../events.ts";
import { createRefresher } from "./refresher.ts";

/** Null until they are loaded. */
export const datasets = signal<Dataset[] | null>(null);
export const datasetsError = signal<unknown>(null);

let tracking = false;

/** Load the data sets and follow their events; further calls do nothing. */
export function trackDatasets(): void {
  if (tracking) return;
  tracking = true;
  on("dataset", (data) => {
    if (data.state === "deleted") removeDataset(data.dataset);
    else putDataset(data as Dataset);
  });
  onReconnect(() => void list.refresh());
  void list.refresh();
}

const list = createRefresher(
  () => listAll("GET /datasets", {}),
  (items) => {
    datasets.value = sorted(items);
    datasetsError.value = null;
  },
  (error) => {
    datasetsError.value = error;
  },
);

/** Store the newest view of one data set. */
export function putDataset(dataset: Dataset): void {
  list.invalidate();
  const others = (datasets.value ?? []).filter(({ name }) => name !== dataset.name);
  datasets.value = sorted([...others, dataset]);
}

export function removeDataset(deleted: string): void {
  list.invalidate();
  datasets.value = datasets.value?.filter(({ name }) => name !== deleted) ?? null;
}

/** Uploaded ones first, the newest of them at the top. */
function sorted(items: Dataset[]): Dataset[] {
  const date = (item: Dataset) => item.created_at ?? "";
  return items.sort((a, b) => date(b).localeCompare(date(a)) || a.name.localeCompare(b.name));
}

/** Whether a user uploaded it: only built-in sets have a source. */
export function isUploaded(dataset: Dataset): boolean {
  return !dataset.source;
}
