// The runs: what is being trained, what waits, what has ended.

import "./run.css";
import { words } from "../../api/client.ts";
import type { Run } from "../../api/types.ts";
import { moment } from "../../figures.ts";
import { attempt } from "../../notices.tsx";
import { keepRuns, loadOlder, older, runs, runsError } from "../../stores/runs.ts";
import { Chip } from "../../ui/Chip.tsx";
import { Failure } from "../../ui/Failure.tsx";
import { Progress } from "../../ui/Progress.tsx";
import { progressOf, STATE_TONES, spoken, stateOf, verdictTone } from "./words.ts";

export default function Runs() {
  keepRuns();
  if (older.value === undefined && runsError.value !== null) {
    return <Failure title="The runs cannot be listed" text={words(runsError.value)} />;
  }
  return (
    <>
      <div class="view-head">
        <h1>Runs</h1>
        <a class="button primary" href="/runs/new">
          Train a model
        </a>
      </div>
      {older.value === undefined ? <p class="loading">Loading…</p> : <List items={runs.value} />}
      {older.value && (
        <button type="button" onClick={() => attempt(loadOlder)}>
          Show older ones
        </button>
      )}
    </>
  );
}

function List({ items }: { items: Run[] }) {
  if (!items.length) {
    return (
      <p class="hint">
        Nothing was trained here yet. <a href="/runs/new">Start with the digits that ship</a>, or{" "}
        <a href="/data">bring images of your own</a>.
      </p>
    );
  }
  return (
    <ul class="runs">
      {items.map((run) => (
        <Item key={run.id} run={run} />
      ))}
    </ul>
  );
}

function Item({ run }: { run: Run }) {
  const { id, model, preset, dataset, state, progress, health, created_at: created, published, error } = run;
  return (
    <li class="run-item sheet">
      <h2>
        <a href={`/runs/${id}`}>{model}</a> <Chip tone={STATE_TONES[state]}>{stateOf(run)}</Chip>
        {state === "running" && health.verdict && health.verdict !== "healthy" && (
          <Chip tone={verdictTone(health.verdict)}>{spoken(health.verdict)}</Chip>
        )}
      </h2>
      <p class="hint">
        {preset} on {dataset} · {moment(created)}
        {published.length > 0 && ` · published ${published.join(", ")}`}
      </p>
      {error ? (
        <p class="error">{error}</p>
      ) : (
        <Progress label={`Progress of ${model}`} fraction={progress.fraction}>
          {progressOf(run)}
        </Progress>
      )}
    </li>
  );
}
