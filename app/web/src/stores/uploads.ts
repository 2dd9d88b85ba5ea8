// Uploads on their way: they go on while other views are shown.

import { effect, signal } from "@preact/signals";
import { Refused, Unreachable, words } from "../api/client.ts";
import type { Dataset } from "../api/types.ts";
import { putDataset } from "./datasets.ts";

export interface Options {
  name: string;
  size: string;
  crop: string;
}

export interface Upload {
  options: Options;
  file: string;
  sent: number;
  total: number;
  /** Bytes per second since the beginning; null in the first moments. */
  rate: number | null;
  error: string | null;
  cancel: () => void;
}

export const uploads = signal<Upload[]>([]);

// Whoever leaves the page ends what is on its way: the browser asks first.
effect(() => {
  if (!uploads.value.some(({ error }) => error === null)) return;
  const ask = (event: BeforeUnloadEvent) => event.preventDefault();
  addEventListener("beforeunload", ask);
  return () => removeEventListener("beforeunload", ask);
});

const FIRST_MOMENTS = 1000;

/** Send an archive of images; gives the data set once it is taken in, null where it was cancelled or refused. */
export function upload(file: File, options: Options): Promise<Dataset | null> {
  const request = new XMLHttpRequest();
  const begun = performance.now();
  const state: Upload = {
    options,
    file: file.name,
    sent: 0,
    total: file.size,
    rate: null,
    error: null,
    cancel: () => request.abort(),
  };
  uploads.value = [...uploads.value.filter((other) => other.options.name !== options.name), state];
  const tell = (changes: Partial<Upload>) => {
    Object.assign(state, changes);
    uploads.value = uploads.value.map((other) => (other.cancel === state.cancel ? { ...state } : other));
  };
  return new Promise((resolve) => {
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      const passed = performance.now() - begun;
      tell({ sent: loaded, total, rate: passed > FIRST_MOMENTS ? (1000 * loaded) / passed : null });
    });
    request.addEventListener("loadend", () => {
      if (request.status === 202) {
        const dataset = request.response as Dataset;
        putDataset(dataset);
        dismiss(state);
        return resolve(dataset);
      }
      if (state.error === null && request.status === 0 && !request.getAllResponseHeaders()) {
        tell({ error: new Unreachable().message });
      } else if (state.error === null) {
        tell({ error: refusal(request) });
      }
      resolve(null);
    });
    request.addEventListener("abort", () => {
      tell({ error: "" });
      dismiss(state);
    });
    request.open("POST", "/datasets");
    request.responseType = "json";
    request.send(form(file, options));
  });
}

/** Take an upload off the list. */
export function dismiss(gone: Upload): void {
  uploads.value = uploads.value.filter(({ cancel }) => cancel !== gone.cancel);
}

// The name goes first: one that is taken is refused before gigabytes are sent.
function form(file: File, { name, size, crop }: Options): FormData {
  const data = new FormData();
  data.set("name", name);
  if (size) data.set("size", size);
  if (crop) data.set("crop", crop);
  data.set("file", file);
  return data;
}

function refusal(request: XMLHttpRequest): string {
  const refused = new Refused(request.status, (request.response ?? {}) as Record<string, never>);
  const details = refused.errors.map(({ msg }) => msg);
  return details.length ? details.join("\n") : words(refused);
}
