// The data sets: what there is to train on, what is being prepared, and the way to bring one's own.

import "./data.css";
import { words } from "../../api/client.ts";
import type { Dataset } from "../../api/types.ts";
import { plural } from "../../figures.ts";
import { navigate } from "../../router.ts";
import { datasets, datasetsError, isUploaded, keepDatasets } from "../../stores/datasets.ts";
import { Failure } from "../../ui/Failure.tsx";
import { Preparing, State } from "./State.tsx";
import { Uploader } from "./Uploader.tsx";

export default function Data() {
  keepDatasets();
  const known = datasets.value;
  if (known === null && datasetsError.value !== null) {
    return <Failure title="The data sets cannot be listed" text={words(datasetsError.value)} />;
  }
  return (
    <>
      <div class="view-head">
        <h1>Data</h1>
      </div>
      <Uploader onTaken={({ name }) => navigate(`/data/${name}`)} />
      {known === null ? (
        <p class="loading">Loading…</p>
      ) : (
        <>
          <List title="Yours" items={known.filter(isUploaded)} none="Nothing yet: what you upload is listed here." />
          <List title="Well known" items={known.filter((item) => !isUploaded(item))} />
        </>
      )}
    </>
  );
}

function List({ title, items, none = "" }: { title: string; items: Dataset[]; none?: string }) {
  return (
    <section class="sets">
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
    <li class="set sheet">
      {pictures ? (
        <img class="picture" src={`/datasets/${name}/preview.png`} alt="" loading="lazy" width="120" height="120" />
      ) : (
        <span class="picture none" aria-hidden="true">
          ▦
        </span>
      )}
      <div>
        <h3>
          <a href={`/data/${name}`}>{title}</a> {state !== "ready" && <State dataset={dataset} />}
        </h3>
        {state === "preparing" ? <Preparing dataset={dataset} /> : <p class="hint">{facts(dataset)}</p>}
        {error && <p class="error">{error}</p>}
      </div>
    </li>
  );
}

/** What there is to say about a data set in a line. */
export function facts({ count, size, channels, classes, left_out: leftOut = 0 }: Dataset): string {
  const parts = [
    count !== null && plural(count, "image"),
    size !== null && `${size} × ${size} px`,
    channels !== null && (channels === 1 ? "grey" : "colour"),
    classes.length > 0 && plural(classes.length, "class", "classes"),
    leftOut > 0 && `${plural(leftOut, "file")} left out`,
  ];
  return parts.filter(Boolean).join(" · ");
}
