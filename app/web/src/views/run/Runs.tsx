// The list of runs, newest first.

import "./run.css";
import { errorMessage } from "../../api/client.ts";
import type { Run } from "../../api/types.ts";
import { dateTime } from "../../format.ts";
import { attempt } from "../../notices.tsx";
import { loadOlderRuns, nextCursor, runs, runsError, trackRuns } from "../../stores/runs.ts";
import { Chip, Failure, Progress } from "../../ui/parts.tsx";
import { progressLabel, STATE_TONES, stateLabel } from "./labels.ts";
import { VerdictChip } from "./VerdictChip.tsx";

export default function Runs() {
  trackRuns();
  if (nextCursor.value === undefined && runsError.value !== null) {
    return <Failure title="The runs cannot be listed" text={errorMessage(runsError.value)} />;
  }
  return (
    <>
      <div class="view-head">
        <h1>Runs</h1>
        <a class="button primary" href="/runs/new">
          Train a model
        </a>
      </div>
      {nextCursor.value === undefined ? <p class="loading">Loading…</p> : <List items={runs.value} />}
      {nextCursor.value && (
        <button type="button" onClick={() => attempt(loadOlderRuns)}>
          Show older runs
        </button>
      )}
    </>
  );
}

function List({ items }: { items: Run[] }) {
  if (!items.length) {
    return (
      <p class="hint">
        There are no runs yet. <a href="/runs/new">Train on the digits that ship with Atelier</a>, or{" "}
        <a href="/data">upload your own images</a>.
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
    <li class="run-item card">
      <h2>
        <a href={`/runs/${id}`}>{model}</a> <Chip tone={STATE_TONES[state]}>{stateLabel(run)}</Chip>
        {state === "running" && health.verdict !== "healthy" && <VerdictChip verdict={health.verdict} />}
      </h2>
      <p class="hint">
        {preset} on {dataset} · {dateTime(created)}
        {published.length > 0 && ` · published ${published.join(", ")}`}
      </p>
      {error ? (
        <p class="error">{error}</p>
      ) : (
        <Progress label={`Progress of ${model}`} fraction={progress.fraction}>
          {progressLabel(run)}
        </Progress>
      )}
    </li>
  );
}
