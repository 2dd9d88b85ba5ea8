// An image that the service generates on demand: fetched, so that an error can be shown and a busy service retried.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, errorMessage, fetchOk } from "../api/client.ts";

interface Props {
  src: string;
  alt: string;
  class?: string;
  /** Called with the response's headers once the image is loaded. */
  onLoaded?: (headers: Headers) => void;
}

const MAX_TRIES = 4;
/** Images up to this width, in pixels, are enlarged with sharp pixels; wider ones are smoothed. */
const PIXELATED_UP_TO = 600;

export function GeneratedImage({ src, alt, class: kind = "", onLoaded }: Props) {
  const shown = useSignal<{ src: string; url: string } | null>(null);
  const error = useSignal("");
  const smooth = useSignal(false);

  useEffect(() => {
    const controller = new AbortController();
    error.value = "";
    load(src, controller.signal).then(
      ({ url, headers }) => {
        if (shown.value) URL.revokeObjectURL(shown.value.url);
        shown.value = { src, url };
        onLoaded?.(headers);
      },
      (failure: unknown) => {
        if (!controller.signal.aborted) error.value = errorMessage(failure);
      },
    );
    return () => controller.abort();
  }, [src]);

  // An object URL keeps its image in memory until it is revoked.
  useEffect(() => () => void (shown.value && URL.revokeObjectURL(shown.value.url)), [shown]);

  if (error.value) return <p class={`picture placeholder error ${kind}`}>{error.value}</p>;
  return (
    <img
      class={`picture ${kind} ${smooth.value ? "smooth" : ""}`}
      src={shown.value?.url ?? BLANK}
      alt={alt}
      aria-busy={shown.value?.src !== src}
      onLoad={(event) => {
        smooth.value = event.currentTarget.naturalWidth > PIXELATED_UP_TO;
      }}
    />
  );
}

const BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

async function load(src: string, signal: AbortSignal): Promise<{ url: string; headers: Headers }> {
  const response = await fetchWithRetry(src, signal);
  const image = await response.blob();
  signal.throwIfAborted();
  return { url: URL.createObjectURL(image), headers: response.headers };
}

// A busy service says how long to wait; a page full of images simply waits for its share.
async function fetchWithRetry(src: string, signal: AbortSignal): Promise<Response> {
  for (let tries = 1; ; tries++) {
    try {
      return await fetchOk(src, { signal });
    } catch (error) {
      const wait = error instanceof ApiError && error.status === 503 ? error.retryAfter : null;
      if (wait === null || tries >= MAX_TRIES) throw error;
      await new Promise((done) => setTimeout(done, 1000 * wait));
      signal.throwIfAborted();
    }
  }
}
