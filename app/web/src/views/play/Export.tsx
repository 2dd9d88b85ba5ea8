// Export of what is shown: files in every format, and the request as code.

import { useSignal } from "@preact/signals";
import { attempt, notify } from "../../notices.tsx";
import { session } from "../../session.ts";
import { copyText } from "../../ui/dom.ts";
import { NumberField } from "../../ui/fields.tsx";
import { exportFormats, exportRequest, fileName, requestUrl, type SampleRequest } from "./requests.ts";
import { variationTargets } from "./seeds.ts";
import { LANGUAGES, type Language, snippet } from "./snippets.ts";
import { modelRef, state } from "./state.ts";

const SCALES = [1, 2, 4, 8, 16];
const FORMAT_NAMES: Record<string, string> = { jpeg: "JPEG", webp: "WebP" };

export function Export() {
  const scale = useSignal(4);
  const [firstTarget = 0n] = variationTargets(state.value.seed, 1);
  const request = modelRef.value ? exportRequest(state.value, modelRef.value, firstTarget) : null;
  if (!request) return null;
  const isVideo = request.operation === "GET /walk";
  return (
    <section class="export" aria-labelledby="export-title">
      <h2 id="export-title">Export</h2>
      <p class="hint">{describe(request)}</p>
      <div class="row">
        {exportFormats(request).map((format) => (
          <a
            key={format}
            class="button small"
            href={requestUrl(request, format, isVideo ? undefined : scale.value)}
            download={fileName(request, format)}
          >
            {FORMAT_NAMES[format] ?? format.toUpperCase()}
          </a>
        ))}
      </div>
      {!isVideo && (
        <NumberField
          label="Enlargement in PNG, WebP and JPEG"
          value={scale.value}
          choices={SCALES}
          format={(factor) => (factor === 1 ? "none" : `${factor} times`)}
          onChange={(factor) => (scale.value = factor)}
        />
      )}
      <Code request={request} scale={scale.value} />
    </section>
  );
}

function describe({ query: { model, seed, seeds, n, kind } }: SampleRequest): string {
  if (kind !== undefined)
    return `The whole interpolation between the seeds ${String(seeds).replace(",", " and ")}, ${model}`;
  if (seeds !== undefined) return `The walk through ${String(seeds).split(",").length} seeds, ${model}`;
  return `${n === 1 ? "The image" : `The ${n} images`} of seed ${seed}, ${model}`;
}

function Code({ request, scale }: { request: SampleRequest; scale: number }) {
  const language = useSignal<Language>("curl");
  const isVideo = request.operation === "GET /walk";
  const format = isVideo ? "mp4" : "png";
  const text = snippet(language.value, {
    url: location.origin + requestUrl(request, isVideo ? format : undefined, isVideo ? undefined : scale),
    file: fileName(request, format),
    needsKey: session.value?.required ?? false,
  });
  const copy = () =>
    attempt(async () => {
      await copyText(text);
      notify(`Copied as ${language.value}.`);
    });
  return (
    <div class="code">
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out as one control. */}
      <div class="segmented" role="group" aria-label="Copy as">
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
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard. */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <button type="button" class="small" onClick={copy}>
        Copy as {language.value}
      </button>
    </div>
  );
}
