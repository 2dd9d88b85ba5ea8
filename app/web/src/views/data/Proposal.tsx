// What the doctor would choose for a data set: to be taken, or to be changed by preparing the same images otherwise.

import { useSignal } from "@preact/signals";
import { call, words } from "../../api/client.ts";
import type { Dataset } from "../../api/types.ts";
import { navigate } from "../../router.ts";
import { putDataset } from "../../stores/datasets.ts";
import { CROPS, Crop, Size } from "./Options.tsx";

export function Proposal({ dataset }: { dataset: Dataset }) {
  const { proposal, name, size, crop } = dataset;
  if (!proposal) return null;
  const preset = proposal.train?.preset;
  const differs = proposal.size !== size || proposal.crop !== crop;
  return (
    <section class="proposal">
      <h2>Proposal</h2>
      <p>
        {proposal.size} px, {CROPS[proposal.crop]}
        {differs ? ` (you chose ${size} px, ${crop && CROPS[crop]})` : ": so it was prepared"}.
        {typeof preset === "string" && (
          <>
            {" "}
            To train on it: preset <code>{preset}</code>, or <code>auto</code>.
          </>
        )}
      </p>
      <details>
        <summary>Prepare the same images otherwise</summary>
        <Otherwise key={name} dataset={dataset} />
      </details>
    </section>
  );
}

function Otherwise({ dataset }: { dataset: Dataset }) {
  const size = useSignal(String(dataset.size ?? 64));
  const crop = useSignal<string>(dataset.crop ?? "centre");
  const typed = useSignal<string | null>(null);
  const error = useSignal("");
  const name = typed.value ?? `${dataset.name}-${size.value}`;

  async function copy(event: Event) {
    event.preventDefault();
    const body = { name, size: Number(size.value) as 28, crop: crop.value as "centre" };
    try {
      putDataset(await call("POST /datasets/{name}/copy", { path: { name: dataset.name }, body }));
      navigate(`/data/${name}`);
    } catch (refused) {
      error.value = words(refused);
    }
  }

  return (
    <form class="settle" onSubmit={copy}>
      <div class="fields">
        <Size value={size.value} onChange={(value) => (size.value = value)} />
        <Crop value={crop.value} onChange={(value) => (crop.value = value)} />
        <label class="field">
          Name
          <input required value={name} onInput={(event) => (typed.value = event.currentTarget.value)} />
        </label>
      </div>
      <p class="hint">A data set never changes: this makes another one. Nothing is sent again.</p>
      {error.value && (
        <p class="error" role="alert">
          {error.value}
        </p>
      )}
      <button type="submit">Prepare</button>
    </form>
  );
}
