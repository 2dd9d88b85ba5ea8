// Taking what is shown along: as a file of any format, and as the request that paints it again.

import { useSignal } from "@preact/signals";
import { attempt, notify } from "../../notices.tsx";
import { session } from "../../session.ts";
import { copyText } from "../../ui/copy.ts";
import { NumberField } from "../../ui/NumberField.tsx";
import { play, ref } from "./now.ts";
import { LANGUAGES, type Language, snippet } from "./snippets.ts";
import { directions } from "./state.ts";
import { addressOf, fileName, formatsOf, taken, type Wish } from "./wishes.ts";

const SCALES = [1, 2, 4, 8, 16];

export function Take() {
  const scale = useSignal(4);
  const wish = ref.value ? taken(play.value, ref.value, directions(play.value.seed, 1)[0] ?? 0n) : null;
  if (!wish) return null;
  return (
    <section class="take" aria-labelledby="take-title">
      <h2 id="take-title">Take along</h2>
      <p class="hint">{subject(wish)}</p>
      <div class="row">
        {formatsOf(wish).map((format) => (
          <a
            key={format}
            class="button small"
            href={addressOf(wish, format, wish.operation === "GET /walk" ? undefined : scale.value)}
            download={fileName(wish, format)}
          >
            {format === "jpeg" ? "JPEG" : format === "webp" ? "WebP" : format.toUpperCase()}
          </a>
        ))}
      </div>
      {wish.operation !== "GET /walk" && (
        <NumberField
          label="Enlarged in PNG, WebP and JPEG"
          value={scale.value}
          among={SCALES}
          name={(times) => (times === 1 ? "not at all" : `${times} times`)}
          onChange={(times) => (scale.value = times)}
        />
      )}
      <Code wish={wish} scale={scale.value} />
    </section>
  );
}

function subject({ query: { model, seed, seeds, n, kind } }: Wish): string {
  if (kind !== undefined) return `The whole way between the seeds ${String(seeds).replace(",", " and ")}, ${model}`;
  if (seeds !== undefined) return `The walk through ${String(seeds).split(",").length} seeds, ${model}`;
  return `${n === 1 ? "The image" : `The ${n} images`} of seed ${seed}, ${model}`;
}

function Code({ wish, scale }: { wish: Wish; scale: number }) {
  const language = useSignal<Language>("curl");
  const film = wish.operation === "GET /walk";
  const format = film ? "mp4" : "png";
  const text = snippet(language.value, {
    address: location.origin + addressOf(wish, film ? format : undefined, film ? undefined : scale),
    file: fileName(wish, format),
    keyed: session.value?.required ?? false,
  });
  const copy = () =>
    attempt(async () => {
      await copyText(text);
      notify(`Copied as ${language.value}.`);
    });
  return (
    <div class="code">
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out as one control. */}
      <div class="choice" role="group" aria-label="Copy as">
        {LANGUAGES.map((each) => (
          <button
            key={each}
            type="button"
            class="small"
            aria-pressed={each === language.value}
            onClick={() => (language.value = each)}
          >
            {each}
          </button>
        ))}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys. */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <button type="button" class="small" onClick={copy}>
        Copy as {language.value}
      </button>
    </div>
  );
}
