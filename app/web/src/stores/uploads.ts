// Running uploads of image archives; they continue while other views are shown.

import { effect, signal } from "@preact/signals";
import { ApiError, errorMessage, UnreachableError } from "../api/client.ts";
import type { Dataset } from "../api/types.ts";
import { putDataset } from "./datasets.ts";

/** Form fields as typed; an empty size or crop is left to the service. */
export interface UploadOptions {
  name: string;
  size: string;
  crop: string;
}

export interface Upload {
  options: UploadOptions;
  file: string;
  sent: number;
  total: number;
  /** Bytes per second since the start; null in the first second. */
  rate: number | null;
  error: string | null;
  cancel: () => void;
}

export const uploads = signal<Upload[]>([]);

// Leaving the page aborts its uploads: the browser asks for confirmation first.
effect(() => {
  if (!uploads.value.some(({ error }) => error === null)) return;
  const confirmLeave = (event: BeforeUnloadEvent) => event.preventDefault();
  addEventListener("beforeunload", confirmLeave);
  return () => removeEventListener("beforeunload", confirmLeave);
});

const RATE_AFTER_MILLISECONDS = 1000;

/** Upload an archive of images; resolves to the data set, or to null if the upload was cancelled or rejected. */
export function upload(file: File, options: UploadOptions): Promise<Dataset | null> {
  // fetch reports no progress of what it sends.
  const request = new XMLHttpRequest();
  const startedAt = performance.now();
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
  const update = (changes: Partial<Upload>) => {
    Object.assign(state, changes);
    uploads.value = uploads.value.map((other) => (other.cancel === state.cancel ? { ...state } : other));
  };
  return new Promise((resolve) => {
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      const elapsed = performance.now() - startedAt;
      update({ sent: loaded, total, rate: elapsed > RATE_AFTER_MILLISECONDS ? (1000 * loaded) / elapsed : null });
    });
    request.addEventListener("loadend", () => {
      if (request.status === 202) {
        const dataset = request.response as Dataset;
        putDataset(dataset);
        dismiss(state);
        return resolve(dataset);
      }
      if (state.error === null && request.status === 0 && !request.getAllResponseHeaders()) {
        update({ error: new UnreachableError().message });
      } else if (state.error === null) {
        update({ error: rejection(request) });
      }
      resolve(null);
    });
    request.addEventListener("abort", () => {
      update({ error: "" });
      dismiss(state);
    });
    request.open("POST", "/datasets");
    request.responseType = "json";
    request.send(form(file, options));
  });
}

/** Remove an upload from the list. */
export function dismiss(upload: Upload): void {
  uploads.value = uploads.value.filter(({ cancel }) => cancel !== upload.cancel);
}

// The name goes first: one that exists already is rejected before gigabytes are sent.
function form(file: File, { name, size, crop }: UploadOptions): FormData {
  const data = new FormData();
  data.set("name", name);
  if (size) data.set("size", size);
  if (crop) data.set("crop", crop);
  data.set("file", file);
  return data;
}

function rejection(request: XMLHttpRequest): string {
  const error = new ApiError(request.status, (request.response ?? {}) as Record<string, never>);
  const details = error.errors.map(({ msg }) => msg);
  return details.length ? details.join("\n") : errorMessage(error);
}

const ARCHIVE_SUFFIX = /\.(zip|tar|tgz|tar\.gz)$/i;

/** A valid data set name for an archive: "My Pets.zip" becomes "my-pets". */
export function datasetNameOf(file: string): string {
  const plain = file.replace(ARCHIVE_SUFFIX, "").normalize("NFKD").toLowerCase();
  return (
    plain
      .replace(/[^a-z0-9._]+/g, "-")
      .replace(/^[-._]+|[-._]+$/g, "")
      .slice(0, 64) || "images"
  );
}
