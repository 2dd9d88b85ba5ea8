// A version's model card, and the nearest training images of what it generates.

import { useSignal } from "@preact/signals";
import { errorMessage, fetchOk } from "../../api/client.ts";
import type { Manifest } from "../../api/types.ts";
import { hasScope } from "../../session.ts";

const CARD = "card.md";
const NEIGHBOURS = "neighbours.png";

export function ModelCard({ manifest }: { manifest: Manifest }) {
  const ref = `${manifest.model}@${manifest.version}`;
  return (
    <>
      {/* Training images are shown only to sessions that may train. */}
      {NEIGHBOURS in manifest.files && hasScope("train") && (
        <section aria-labelledby="neighbours-title">
          <h3 id="neighbours-title">Nearest training images</h3>
          <img
            class="picture"
            src={`/models/${ref}/${NEIGHBOURS}`}
            alt="Generated and nearest training samples, in pairs"
            loading="lazy"
          />
          <p class="hint">
            Each generated image, and to its right the training image nearest to it in pixels; the card says how many
            were compared. Identical pairs mean that the model has memorized its data.
          </p>
        </section>
      )}
      {CARD in manifest.files && <CardText url={`/models/${ref}/${CARD}`} file={`${ref}.md`} />}
    </>
  );
}

function CardText({ url, file }: { url: string; file: string }) {
  const text = useSignal("Loading…");
  const load = async () => {
    try {
      text.value = await (await fetchOk(url)).text();
    } catch (error) {
      text.value = errorMessage(error);
    }
  };
  return (
    <section aria-labelledby="card-title">
      <div class="row">
        <h3 id="card-title">Model card</h3>
        <a class="button small" href={url} download={file}>
          Download
        </a>
      </div>
      <details onToggle={(event) => event.currentTarget.open && void load()}>
        <summary>Read it</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard. */}
        <pre class="model-card-text" tabIndex={0}>
          {text}
        </pre>
      </details>
    </section>
  );
}
