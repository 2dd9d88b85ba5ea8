// A picture that the service paints on demand: fetched, so that a refusal can be read and a busy service asked again.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, Refused, words } from "../api/client.ts";

interface Props {
  src: string;
  alt: string;
  class?: string;
  /** Called with the answer's headers once the picture is there. */
  onPainted?: (headers: Headers) => void;
}

const MOST_TRIES = 4;
/** Above so many pixels for an image of a grid, enlargement may smooth. */
const SMALL = 600;

export function Painted({ src, alt, class: kind = "", onPainted }: Props) {
  const shown = useSignal<{ src: string; url: string } | null>(null);
  const error = useSignal("");
  const smooth = useSignal(false);

  useEffect(() => {
    const asking = new AbortController();
    error.value = "";
    paint(src, asking.signal).then(
      ({ url, headers }) => {
        if (shown.value) URL.revokeObjectURL(shown.value.url);
        shown.value = { src, url };
        onPainted?.(headers);
      },
      (refused: unknown) => {
        if (!asking.signal.aborted) error.value = words(refused);
      },
    );
    return () => asking.abort();
  }, [src]);

  useEffect(() => () => void (shown.value && URL.revokeObjectURL(shown.value.url)), [shown]);

  if (error.value) return <p class={`picture refused error ${kind}`}>{error.value}</p>;
  return (
    <img
      class={`picture ${kind} ${smooth.value ? "smooth" : ""}`}
      src={shown.value?.url ?? BLANK}
      alt={alt}
      aria-busy={shown.value?.src !== src}
      onLoad={(event) => {
        smooth.value = event.currentTarget.naturalWidth > SMALL;
      }}
    />
  );
}

const BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

async function paint(src: string, signal: AbortSignal): Promise<{ url: string; headers: Headers }> {
  const answer = await fetchPatiently(src, signal);
  const picture = await answer.blob();
  signal.throwIfAborted();
  return { url: URL.createObjectURL(picture), headers: answer.headers };
}

// The service says how long to wait when it is busy; a page full of pictures just takes its turn.
async function fetchPatiently(src: string, signal: AbortSignal): Promise<Response> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask(src, { signal });
    } catch (error) {
      const wait = error instanceof Refused && error.status === 503 ? error.retryAfter : null;
      if (wait === null || tries >= MOST_TRIES) throw error;
      await new Promise((done) => setTimeout(done, 1000 * wait));
      signal.throwIfAborted();
    }
  }
}
