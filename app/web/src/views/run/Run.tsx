// One run: progress, verdict, scores, snapshots, charts, log, and its controls.

import "./run.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { errorMessage } from "../../api/client.ts";
import type { Run as Item } from "../../api/types.ts";
import { dateTime, humanize, round } from "../../format.ts";
import type { ViewProps } from "../../router.ts";
import { fetchRun, findRun, isNotFound, trackRuns } from "../../stores/runs.ts";
import { schemas } from "../../stores/schema.ts";
import { isLowerBetter, memorisationSentence, primaryScore, scoreDescription } from "../../stores/scores.ts";
import { verdictText } from "../../stores/verdicts.ts";
import { Chip, Failure, Progress } from "../../ui/parts.tsx";
import { ScoreTitle } from "../../ui/Scores.tsx";
import { Charts } from "./Charts.tsx";
import { useHistory } from "./history.ts";
import { Log } from "./Log.tsx";
import { progressLabel, STATE_TONES, stateLabel } from "./labels.ts";
import { RunControls } from "./RunControls.tsx";
import { Snapshots } from "./Snapshots.tsx";
import { VerdictChip } from "./VerdictChip.tsx";

export default function Run({ name }: ViewProps) {
  return <Shown key={name} id={name} />;
}

function Shown({ id }: { id: string }) {
  trackRuns();
  const error = useSignal<unknown>(null);
  const run = findRun(id);
  useEffect(() => {
    fetchRun(id).catch((failure: unknown) => {
      error.value = failure;
    });
  }, [id, error]);
  if (run) return <View run={run} />;
  if (isNotFound(error.value)) return <Failure title="No such run" text={errorMessage(error.value)} />;
  return error.value ? <p class="error">{errorMessage(error.value)}</p> : <p class="loading">Loading…</p>;
}

function View({ run }: { run: Item }) {
  const history = useHistory(run.id);
  return (
    <>
      <div class="view-head">
        <h1>
          {run.model} <Chip tone={STATE_TONES[run.state]}>{stateLabel(run)}</Chip>
        </h1>
        <RunControls run={run} />
      </div>
      <p class="hint run-line">
        {run.preset} on <a href={datasetUrl(run.dataset)}>{run.dataset}</a> · started{" "}
        {dateTime(run.started_at ?? run.created_at)}
        {run.ended_at && ` · ended ${dateTime(run.ended_at)}`} · run <code>{run.id}</code>
      </p>
      <Progress label="Progress of the run" fraction={run.progress.fraction}>
        {progressLabel(run)}
      </Progress>
      <p class="visually-hidden" role="status">
        The run is {stateLabel(run)}.
      </p>
      {run.error && (
        <p class="error" role="alert">
          {run.error}
        </p>
      )}
      <Verdict run={run} />
      <Snapshots run={run} history={history} />
      <Charts history={history} />
      <ResolvedSettings run={run} />
      <Log run={run} />
    </>
  );
}

function datasetUrl(dataset: string): string {
  return dataset.startsWith("folder:") ? "/data" : `/data/${dataset}`;
}

function Verdict({ run: { health, scores, published } }: { run: Item }) {
  const newest = primaryScore(scores);
  const text = verdictText(schemas.value, health.verdict);
  const copied = scores.memorisation;
  if (!health.verdict && !newest && !published.length) return null;
  return (
    <section class="verdict card" aria-label="Verdict and scores">
      {health.verdict && (
        <div>
          <h2>
            Verdict <VerdictChip verdict={health.verdict} />
          </h2>
          {text && text.severity !== "good" && <p>{text.sentence}</p>}
          {health.reasons?.map((reason) => (
            <p key={reason}>{reason.endsWith(".") ? reason : `${reason}.`}</p>
          ))}
          {text?.advice && <p>{text.advice}</p>}
          {health.sentence && <p class="hint">{health.sentence}</p>}
          {copied && <p>{memorisationSentence(copied)}</p>}
        </div>
      )}
      {newest && (
        <div>
          <h2>Newest score</h2>
          <p>
            <strong class="figure">{round(newest.score.value)}</strong>{" "}
            <ScoreTitle name={newest.name} lower={isLowerBetter(newest.score)} />
            {newest.score.floor != null && (
              <span class="hint"> · baseline of real images: {round(newest.score.floor)}</span>
            )}
          </p>
          {scoreDescription(newest.name) && <p class="hint">{scoreDescription(newest.name)}</p>}
          <p class="hint">{newest.score.protocol}</p>
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

/** What the worker decided when the run first started, and why. */
function ResolvedSettings({ run: { resolved } }: { run: Item }) {
  const { reasons = [], ...decisions } = resolved;
  // Values of other versions are shown under their own names; configurations and schedules are too long for a list.
  const shown = Object.entries(decisions).filter(([, value]) => value !== null && typeof value !== "object");
  if (!shown.length) return null;
  return (
    <details class="resolved">
      <summary>Settings chosen at the start</summary>
      {reasons.length > 0 && (
        <ul>
          {reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
      <dl>
        {shown.map(([name, value]) => (
          <div key={name}>
            <dt>{humanize(name)}</dt>
            <dd>{String(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
