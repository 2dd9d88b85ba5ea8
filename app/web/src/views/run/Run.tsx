// One run: how far it is and how well, what it has painted on the way, its log; to be paused, ended, gone on with.

import "./run.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { words } from "../../api/client.ts";
import type { Run as Item } from "../../api/types.ts";
import { moment, round } from "../../figures.ts";
import type { ViewProps } from "../../routes.ts";
import { isUnknown, keepRuns, readRun, runOf } from "../../stores/runs.ts";
import { decisive, meaningOf } from "../../stores/scores.ts";
import { Chip } from "../../ui/Chip.tsx";
import { Failure } from "../../ui/Failure.tsx";
import { Progress } from "../../ui/Progress.tsx";
import { ScoreName } from "../../ui/ScoreName.tsx";
import { Charts } from "./Charts.tsx";
import { Film } from "./Film.tsx";
import { useHistory } from "./history.ts";
import { Log } from "./Log.tsx";
import { Resolved } from "./Resolved.tsx";
import { Steering } from "./Steering.tsx";
import { progressOf, STATE_TONES, spoken, stateOf, verdictTone } from "./words.ts";

export default function Run({ name }: ViewProps) {
  return <Shown key={name} id={name} />;
}

function Shown({ id }: { id: string }) {
  keepRuns();
  const error = useSignal<unknown>(null);
  const run = runOf(id);
  useEffect(() => {
    readRun(id).catch((refused: unknown) => {
      error.value = refused;
    });
  }, [id, error]);
  if (run) return <View run={run} />;
  if (isUnknown(error.value)) return <Failure title="No such run" text={words(error.value)} />;
  return error.value ? <p class="error">{words(error.value)}</p> : <p class="loading">Loading…</p>;
}

function View({ run }: { run: Item }) {
  const history = useHistory(run.id);
  return (
    <>
      <div class="view-head">
        <h1>
          {run.model} <Chip tone={STATE_TONES[run.state]}>{stateOf(run)}</Chip>
        </h1>
        <Steering run={run} />
      </div>
      <p class="hint run-line">
        {run.preset} on <a href={datasetAddress(run.dataset)}>{run.dataset}</a> · begun{" "}
        {moment(run.started_at ?? run.created_at)}
        {run.ended_at && ` · ended ${moment(run.ended_at)}`} · run <code>{run.id}</code>
      </p>
      <Progress label="Progress of the run" fraction={run.progress.fraction}>
        {progressOf(run)}
      </Progress>
      <p class="unseen" role="status">
        The run is {stateOf(run)}.
      </p>
      {run.error && (
        <p class="error" role="alert">
          {run.error}
        </p>
      )}
      <Verdict run={run} />
      <Film run={run} history={history} />
      <Charts history={history} />
      <Resolved run={run} />
      <Log run={run} />
    </>
  );
}

function datasetAddress(dataset: string): string {
  return dataset.startsWith("folder:") ? "/data" : `/data/${dataset}`;
}

function Verdict({ run: { health, scores, published } }: { run: Item }) {
  const best = decisive(scores);
  if (!health.verdict && !best && !published.length) return null;
  return (
    <section class="verdict sheet" aria-label="How it goes">
      {health.verdict && (
        <div>
          <h2>
            Verdict <Chip tone={verdictTone(health.verdict)}>{spoken(health.verdict)}</Chip>
          </h2>
          {health.sentence && <p>{health.sentence}</p>}
          {health.reasons?.map((reason) => (
            <p key={reason}>{reason}.</p>
          ))}
        </div>
      )}
      {best && (
        <div>
          <h2>Newest score</h2>
          <p>
            <strong class="figure">{round(best.score.value)}</strong>{" "}
            <ScoreName name={best.name} lower={best.score.lower_is_better !== false} />
            {best.score.floor != null && (
              <span class="hint"> · {round(best.score.floor)} between real images and real images</span>
            )}
          </p>
          {meaningOf(best.name) && <p class="hint">{meaningOf(best.name)}</p>}
          <p class="hint">{best.score.protocol}</p>
        </div>
      )}
      {published.length > 0 && (
        <div>
          <h2>Published</h2>
          <ul class="row versions">
            {published.map((ref) => (
              <li key={ref}>
                <a class="button small" href={`/play?model=${ref}`}>
                  {ref}
                </a>
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}
