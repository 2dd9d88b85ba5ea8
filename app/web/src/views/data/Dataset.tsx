// One data set: pictures, summary, proposal, class counts, findings, and the actions on it.

import "./data.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, errorMessage } from "../../api/client.ts";
import type { DatasetDetail, Dataset as Item } from "../../api/types.ts";
import { bytes, dateTime } from "../../format.ts";
import { navigate, type ViewProps } from "../../router.ts";
import { hasScope } from "../../session.ts";
import { datasets, isUploaded, removeDataset, trackDatasets } from "../../stores/datasets.ts";
import { Bars } from "../../ui/Bars.tsx";
import { Confirm } from "../../ui/dialogs.tsx";
import { GeneratedImage } from "../../ui/GeneratedImage.tsx";
import { Failure } from "../../ui/parts.tsx";
import { Findings } from "./Findings.tsx";
import { Proposal } from "./Proposal.tsx";
import { Preparing, State, summary } from "./parts.tsx";

export default function Dataset({ name }: ViewProps) {
  return <Shown key={name} name={name} />;
}

function Shown({ name }: { name: string }) {
  trackDatasets();
  const detail = useSignal<DatasetDetail | null>(null);
  const error = useSignal("");
  const live = datasets.value?.find((item) => item.name === name);

  // Lists and events do not carry findings: load them whenever the state changes.
  useEffect(() => {
    call("GET /datasets/{name}", { path: { name } }).then(
      (found) => {
        detail.value = found;
        error.value = "";
      },
      (failure: unknown) => {
        error.value = errorMessage(failure);
      },
    );
  }, [name, live?.state]);

  const dataset = live ?? detail.value;
  if (error.value && !dataset) return <Failure title={`No data set ${name}`} text={error.value} />;
  if (!dataset) return <p class="loading">Loading…</p>;
  return (
    <>
      <div class="view-head">
        <h1>
          {dataset.title} <State dataset={dataset} />
        </h1>
        <div class="row">
          {dataset.state !== "preparing" && dataset.state !== "failed" && (
            <a class="button primary" href={`/runs/new?dataset=${encodeURIComponent(name)}`}>
              Train on it
            </a>
          )}
          {isUploaded(dataset) && hasScope("admin") && <Delete name={name} />}
        </div>
      </div>
      {dataset.state === "preparing" && <Preparing dataset={dataset} />}
      {dataset.state === "failed" && <p class="error">{dataset.error}</p>}
      <div class="dataset">
        <Pictures dataset={dataset} />
        <div class="dataset-about">
          <About dataset={dataset} />
          {dataset.proposal && <Proposal dataset={dataset} />}
          {dataset.class_counts && (
            <section>
              <h2>Classes</h2>
              <Bars title="Class" unit="Images" counts={dataset.class_counts} />
            </section>
          )}
        </div>
      </div>
      {detail.value && isUploaded(dataset) && dataset.state === "ready" && (
        <Findings name={name} counts={dataset.finding_counts ?? {}} first={detail.value.findings} />
      )}
    </>
  );
}

function About({ dataset }: { dataset: Item }) {
  const { crop, bytes: size, created_at: created, licence, source } = dataset;
  return (
    <section>
      <h2>Images</h2>
      <p>{summary(dataset)}</p>
      <dl>
        {crop && <dt>Crop</dt>}
        {crop && <dd>{crop}</dd>}
        {size != null && <dt>Upload</dt>}
        {size != null && <dd>{bytes(size)}</dd>}
        {created && <dt>Since</dt>}
        {created && <dd>{dateTime(created)}</dd>}
        {licence && <dt>Licence</dt>}
        {licence && <dd>{licence}</dd>}
        {source && <dt>Source</dt>}
        {source && <dd>{source}</dd>}
      </dl>
    </section>
  );
}

// Pictures of built-in sets are made on the first request; an event follows when they are there.
function Pictures({ dataset: { name, state, pictures } }: { dataset: Item }) {
  if (!pictures) return state === "ready" ? <p class="loading">The pictures are being made…</p> : null;
  return (
    <div class="pictures">
      <figure>
        <GeneratedImage src={`/datasets/${name}/preview.png`} alt={`Contact sheet: sample images of ${name}`} />
        <figcaption class="hint">Sample images, as prepared for training</figcaption>
      </figure>
      <figure class="mean">
        <GeneratedImage src={`/datasets/${name}/mean.png`} alt={`The mean of all images of ${name}`} />
        <figcaption class="hint">Mean image</figcaption>
      </figure>
    </div>
  );
}

function Delete({ name }: { name: string }) {
  const confirming = useSignal(false);

  async function remove() {
    await call("DELETE /datasets/{name}", { path: { name } });
    navigate("/data");
    removeDataset(name);
  }

  return (
    <>
      <button type="button" class="danger" onClick={() => (confirming.value = true)}>
        Delete
      </button>
      {confirming.value && (
        <Confirm
          title={`Delete ${name}?`}
          action="Delete it"
          onConfirm={remove}
          onClose={() => (confirming.value = false)}
        >
          <p>The upload and the prepared images are deleted. Models that were trained on them are kept.</p>
        </Confirm>
      )}
    </>
  );
}
