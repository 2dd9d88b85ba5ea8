// The data sets, as the service lists them; kept up to date by the event stream once somebody has asked for them.

import { signal } from "@preact/signals";
import { all } from "../api/client.ts";
import { reading } from "../api/reading.ts";
import type { Dataset } from "../api/types.ts";
import { on, onReturn } from "../events.ts";

/** Null until they are known. */
export const datasets = signal<Dataset[] | null>(null);
export const datasetsError = signal<unknown>(null);

let asked = false;

/** Load the data sets, and keep them; calling it again costs nothing. */
export function keepDatasets(): void {
  if (asked) return;
  asked = true;
  on("dataset", (data) => {
    if (data.state === "deleted") dropDataset(data.dataset);
    else putDataset(data as Dataset);
  });
  onReturn(() => void list.now());
  void list.now();
}

const list = reading(
  () => all("GET /datasets", {}),
  (items) => {
    datasets.value = sorted(items);
    datasetsError.value = null;
  },
  (error) => {
    datasetsError.value = error;
  },
);

/** Take over what the service answered about one data set. */
export function putDataset(dataset: Dataset): void {
  list.heard();
  const others = (datasets.value ?? []).filter(({ name }) => name !== dataset.name);
  datasets.value = sorted([...others, dataset]);
}

/** Forget a data set that is deleted. */
export function dropDataset(gone: string): void {
  list.heard();
  datasets.value = datasets.value?.filter(({ name }) => name !== gone) ?? null;
}

/** Uploaded ones first, the newest of them at the top. */
function sorted(items: Dataset[]): Dataset[] {
  const date = (item: Dataset) => item.created_at ?? "";
  return items.sort((a, b) => date(b).localeCompare(date(a)) || a.name.localeCompare(b.name));
}

/** Whether somebody uploaded it: built-in ones have a source instead. */
export function isUploaded(dataset: Dataset): boolean {
  return !dataset.source;
}
