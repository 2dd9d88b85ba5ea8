// Proposed options for a data set, and a form that prepares the same images with other options.

import { useSignal } from "@preact/signals";
import { call, errorMessage } from "../../api/client.ts";
import type { Schemas } from "../../api/schema";
import type { Dataset } from "../../api/types.ts";
import { navigate } from "../../router.ts";
import { putDataset } from "../../stores/datasets.ts";
import { CropField, cropLabel, SizeField } from "./parts.tsx";

export function Proposal({ dataset }: { dataset: Dataset }) {
  const { proposal, name, size, crop } = dataset;
  if (!proposal) return null;
  const differs = proposal.size !== size || proposal.crop !== crop;
  return (
    <section class="proposal">
      <h2>Proposal</h2>
      <p>
        {proposal.size} px, {cropLabel(proposal.crop)}
        {differs ? ` (you chose ${size} px, ${crop && cropLabel(crop)})` : ", as prepared"}.
        {proposal.train && (
          <>
            {" "}
            To train on it, take the preset <code>auto</code>: it chooses a size that this machine can train, up to this
            one.
          </>
        )}
      </p>
      <details>
        <summary>Prepare the same images with other options</summary>
        <CopyForm key={name} dataset={dataset} />
      </details>
    </section>
  );
}

function CopyForm({ dataset }: { dataset: Dataset }) {
  const size = useSignal(String(dataset.size ?? 64));
  const crop = useSignal<string>(dataset.crop ?? "centre");
  const typedName = useSignal<string | null>(null);
  const error = useSignal("");
  const name = typedName.value ?? `${dataset.name}-${size.value}`;

  async function copy(event: Event) {
    event.preventDefault();
    const body = { name, size: Number(size.value), crop: crop.value } as Schemas["UploadFields"];
    try {
      putDataset(await call("POST /datasets/{name}/copy", { path: { name: dataset.name }, body }));
      navigate(`/data/${name}`);
    } catch (failure) {
      error.value = errorMessage(failure);
    }
  }

  return (
    <form class="form-stack" onSubmit={copy}>
      <div class="fields">
        <SizeField value={size.value} onChange={(value) => (size.value = value)} />
        <CropField value={crop.value} onChange={(value) => (crop.value = value)} />
        <label class="field">
          Name
          <input required value={name} onInput={(event) => (typedName.value = event.currentTarget.value)} />
        </label>
      </div>
      <p class="hint">Data sets never change: this creates another one. Nothing is uploaded again.</p>
      {error.value && (
        <p class="error" role="alert">
          {error.value}
        </p>
      )}
      <button type="submit">Prepare</button>
    </form>
  );
}
