// One data set: how it looks, what was found in it, what is proposed; to train on it, prepare it otherwise, delete it.

import "./data.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, words } from "../../api/client.ts";
import type { DatasetDetail, Dataset as Item } from "../../api/types.ts";
import { bytes, moment } from "../../figures.ts";
import { navigate } from "../../router.ts";
import type { ViewProps } from "../../routes.ts";
import { can } from "../../session.ts";
import { datasets, dropDataset, isUploaded, keepDatasets } from "../../stores/datasets.ts";
import { Bars } from "../../ui/Bars.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { Failure } from "../../ui/Failure.tsx";
import { Painted } from "../../ui/Painted.tsx";
import { facts } from "./Data.tsx";
import { Findings } from "./Findings.tsx";
import { Proposal } from "./Proposal.tsx";
import { Preparing, State } from "./State.tsx";

export default function Dataset({ name }: ViewProps) {
  return <Shown key={name} name={name} />;
}

function Shown({ name }: { name: string }) {
  keepDatasets();
  const detail = useSignal<DatasetDetail | null>(null);
  const error = useSignal("");
  const live = datasets.value?.find((item) => item.name === name);

  // Findings are not in the list, nor in events: they are read when the set's state has changed.
  useEffect(() => {
    call("GET /datasets/{name}", { path: { name } }).then(
      (found) => {
        detail.value = found;
        error.value = "";
      },
      (refused: unknown) => {
        error.value = words(refused);
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
          {isUploaded(dataset) && can("admin") && <Delete name={name} />}
        </div>
      </div>
      {dataset.state === "preparing" && <Preparing dataset={dataset} />}
      {dataset.state === "failed" && <p class="error">{dataset.error}</p>}
      <div class="dataset">
        <Pictures dataset={dataset} />
        <div class="about">
          <Facts dataset={dataset} />
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

function Facts({ dataset }: { dataset: Item }) {
  const { crop, bytes: size, created_at: created, licence, source } = dataset;
  return (
    <section>
      <h2>Images</h2>
      <p>{facts(dataset)}</p>
      <dl>
        {crop && <dt>Crop</dt>}
        {crop && <dd>{crop}</dd>}
        {size != null && <dt>Upload</dt>}
        {size != null && <dd>{bytes(size)}</dd>}
        {created && <dt>Since</dt>}
        {created && <dd>{moment(created)}</dd>}
        {licence && <dt>Licence</dt>}
        {licence && <dd>{licence}</dd>}
        {source && <dt>Source</dt>}
        {source && <dd>{source}</dd>}
      </dl>
    </section>
  );
}

// Pictures of built-in sets are drawn when somebody first looks at the set; an event tells when they are there.
function Pictures({ dataset: { name, state, pictures } }: { dataset: Item }) {
  if (!pictures) return state === "ready" ? <p class="loading">Its pictures are being drawn…</p> : null;
  return (
    <div class="pictures">
      <figure>
        <Painted src={`/datasets/${name}/preview.png`} alt={`Contact sheet: images from all over ${name}`} />
        <figcaption class="hint">From all over the set, as they are prepared</figcaption>
      </figure>
      <figure class="mean">
        <Painted src={`/datasets/${name}/mean.png`} alt={`The mean of all images of ${name}`} />
        <figcaption class="hint">The mean of all</figcaption>
      </figure>
    </div>
  );
}

function Delete({ name }: { name: string }) {
  const asked = useSignal(false);

  async function remove() {
    await call("DELETE /datasets/{name}", { path: { name } });
    navigate("/data");
    dropDataset(name);
  }

  return (
    <>
      <button type="button" class="danger" onClick={() => (asked.value = true)}>
        Delete
      </button>
      {asked.value && (
        <Confirm title={`Delete ${name}?`} action="Delete it" onConfirm={remove} onClose={() => (asked.value = false)}>
          <p>The images as they came and as they were prepared are removed. Models that learned from them stay.</p>
        </Confirm>
      )}
    </>
  );
}
