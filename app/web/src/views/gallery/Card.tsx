// What else was published with a version: its model card, and the training images that its images are most like.

import { useSignal } from "@preact/signals";
import { ask, words } from "../../api/client.ts";
import type { Manifest } from "../../api/types.ts";
import { can } from "../../session.ts";

const CARD = "card.md";
const NEIGHBOURS = "neighbours.png";

export function Card({ manifest }: { manifest: Manifest }) {
  const ref = `${manifest.model}@${manifest.version}`;
  return (
    <>
      {/* Photographs that were trained on are for those who train. */}
      {NEIGHBOURS in manifest.files && can("train") && (
        <section aria-labelledby="neighbours-title">
          <h3 id="neighbours-title">Nearest training images</h3>
          <img
            class="picture"
            src={`/models/${ref}/${NEIGHBOURS}`}
            alt="What was painted, each beside what is most like it in the training data"
            loading="lazy"
          />
          <p class="hint">
            Each generated image, and to its right the training image most like it, by pixels; the card tells how many
            were looked at. Pairs that are the same mean that the model remembers its data.
          </p>
        </section>
      )}
      {CARD in manifest.files && <Text address={`/models/${ref}/${CARD}`} file={`${ref}.md`} />}
    </>
  );
}

function Text({ address, file }: { address: string; file: string }) {
  const text = useSignal("Loading…");
  const load = async () => {
    try {
      text.value = await (await ask(address)).text();
    } catch (error) {
      text.value = words(error);
    }
  };
  return (
    <section aria-labelledby="card-title">
      <div class="row">
        <h3 id="card-title">Model card</h3>
        <a class="button small" href={address} download={file}>
          Download
        </a>
      </div>
      <details onToggle={(event) => event.currentTarget.open && void load()}>
        <summary>Read it</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys. */}
        <pre class="card-text" tabIndex={0}>
          {text}
        </pre>
      </details>
    </section>
  );
}
