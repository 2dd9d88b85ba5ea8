// The estimate of a training request, and the errors that no field of the form shows.

import { bytes, colourMode, duration, plural, round } from "../../format.ts";
import type { DryRunState } from "./dryRun.ts";
import type { Group } from "./settings.ts";

export function Estimate({ dryRun: { dry, busy } }: { dryRun: DryRunState }) {
  if (!dry) return <p class="hint">{busy ? "Estimating…" : "There is no estimate: the settings are not valid yet."}</p>;
  const { config, estimate, chosen } = dry;
  const { seconds, time_source: timeSource, memory_bytes: memory, images, batches } = estimate;
  return (
    <div aria-busy={busy}>
      <h2>Estimate</h2>
      <p class="visually-hidden" role="status">
        {seconds === null ? "The training time is unknown." : `The training takes about ${duration(seconds)}.`}
      </p>
      <dl>
        <dt>Time</dt>
        <dd>
          {seconds === null ? "unknown until a run has measured it" : `about ${duration(seconds)}`}
          {timeSource && <span class="hint"> by {timeSource}</span>}
        </dd>
        <dt>Memory</dt>
        <dd>{memory === null ? "unknown" : `about ${bytes(memory)}`}</dd>
        <dt>Length</dt>
        <dd>
          {config.epochs != null ? plural(config.epochs, "epoch") : `${round(config.kimg ?? 0)} kimg`}
          {images !== null && batches !== null && (
            <span class="hint"> {`${plural(images, "image")} in ${plural(batches, "batch", "batches")}`}</span>
          )}
        </dd>
        <dt>Images</dt>
        <dd>
          {config.size} × {config.size} px, {colourMode(config.channels)}
        </dd>
        <dt>Parameters</dt>
        <dd>
          {estimate.generator_parameters.toLocaleString("en")}
          <span class="hint"> generator</span>
          <br />
          {estimate.discriminator_parameters.toLocaleString("en")}
          <span class="hint"> discriminator</span>
        </dd>
      </dl>
      {chosen && (
        <details open>
          <summary>
            Chosen: <code>{chosen.preset}</code>
          </summary>
          <ul class="reasons">
            {chosen.reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

// The names of the settings with fields of their own.
const FIELDS = new Set(["dataset", "preset", "kimg", "epochs", "model", "seed", "conditional"]);

// Errors that no field shows: overrides that the preset does not have, and errors about the request as a whole.
export function OtherErrors({ errors, known }: { errors: Record<string, string>; known: Group[] }) {
  const names = new Set(known.flatMap(({ settings }) => settings.map(({ name }) => name)));
  const shown = Object.entries(errors).filter(([name]) => !FIELDS.has(name) && !names.has(name));
  return shown.map(([name, text]) => (
    <p key={name} class="error" role="alert">
      {name && `${name}: `}
      {text}
    </p>
  ));
}
