// The Data view: uploads, uploaded and built-in data sets.

import "./data.css";
import { errorMessage } from "../../api/client.ts";
import type { Dataset } from "../../api/types.ts";
import { navigate } from "../../router.ts";
import { datasets, datasetsError, isUploaded, trackDatasets } from "../../stores/datasets.ts";
import { Failure } from "../../ui/parts.tsx";
import { Preparing, State, summary } from "./parts.tsx";
import { Uploader } from "./Uploader.tsx";

export default function Data() {
  trackDatasets();
  const known = datasets.value;
  if (known === null && datasetsError.value !== null) {
    return <Failure title="The data sets cannot be listed" text={errorMessage(datasetsError.value)} />;
  }
  return (
    <>
      <div class="view-head">
        <h1>Data</h1>
      </div>
      <Uploader onUploaded={({ name }) => navigate(`/data/${name}`)} />
      {known === null ? (
        <p class="loading">Loading…</p>
      ) : (
        <>
          <List title="Uploaded" items={known.filter(isUploaded)} none="No uploads yet." />
          <List title="Built-in" items={known.filter((item) => !isUploaded(item))} />
        </>
      )}
    </>
  );
}

function List({ title, items, none = "" }: { title: string; items: Dataset[]; none?: string }) {
  return (
    <section class="dataset-list">
      <h2>{title}</h2>
      {items.length ? (
        <ul>
          {items.map((item) => (
            <Card key={item.name} dataset={item} />
          ))}
        </ul>
      ) : (
        <p class="hint">{none}</p>
      )}
    </section>
  );
}

function Card({ dataset }: { dataset: Dataset }) {
  const { name, title, pictures, state, error } = dataset;
  return (
    <li class="dataset-item card">
      {pictures ? (
        <img class="picture" src={`/datasets/${name}/preview.png`} alt="" loading="lazy" width="120" height="120" />
      ) : (
        <span class="picture no-picture" aria-hidden="true">
          ▦
        </span>
      )}
      <div>
        <h3>
          <a href={`/data/${name}`}>{title}</a> {state !== "ready" && <State dataset={dataset} />}
        </h3>
        {state === "preparing" ? <Preparing dataset={dataset} /> : <p class="hint">{summary(dataset)}</p>}
        {error && <p class="error">{error}</p>}
      </div>
    </li>
  );
}
