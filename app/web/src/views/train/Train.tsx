// The Train view: data set, preset, length, advanced settings, and an estimate before the start.

import "./train.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, errorMessage } from "../../api/client.ts";
import type { Preset, Run } from "../../api/types.ts";
import { bytes, colourMode, duration, plural, round } from "../../format.ts";
import { currentUrl, navigate, updateQuery } from "../../router.ts";
import { datasets, datasetsError, isUploaded, trackDatasets } from "../../stores/datasets.ts";
import { loadPresets, presets } from "../../stores/presets.ts";
import { applyResponse } from "../../stores/runs.ts";
import { loadSchemas, type SchemaNodes, schemas } from "../../stores/schema.ts";
import { Field } from "../../ui/fields.tsx";
import { Failure } from "../../ui/parts.tsx";
import { Uploader } from "../data/Uploader.tsx";
import { Advanced } from "./Advanced.tsx";
import {
  type DryRunState,
  errorsByField,
  FULL_LENGTH,
  LENGTHS,
  parseLength,
  type TrainRequest,
  useDryRun,
} from "./dryRun.ts";
import { type Group, groupsOf, type Override } from "./settings.ts";

/** Prefix of data sets that are folders in the images directory. */
const FOLDER = "folder:";
/** Ships with Atelier, so that the first training needs no download. */
const DEFAULT_DATASET = "mnist-mini";

export default function Train() {
  trackDatasets();
  const loadError = useSignal<unknown>(null);
  useEffect(() => {
    Promise.all([loadPresets(), loadSchemas()]).catch((error: unknown) => {
      loadError.value = error;
    });
  }, [loadError]);
  const error = loadError.value ?? (datasets.value === null ? datasetsError.value : null);
  if (error !== null) return <Failure title="Presets or data sets cannot be loaded" text={errorMessage(error)} />;
  if (datasets.value === null || presets.value === null || schemas.value === null)
    return <p class="loading">Loading…</p>;
  return <Form presets={presets.value} schemas={schemas.value} />;
}

function Form({ presets, schemas }: { presets: Preset[]; schemas: SchemaNodes }) {
  const { query } = currentUrl.value;
  const dataset = query.get("dataset") ?? DEFAULT_DATASET;
  const preset = query.get("preset") ?? presets[0]?.name ?? "";
  // Links made before the parameter had its present name call it `dial`.
  const length = parseLength(query.get("length") ?? query.get("dial"));
  const model = useSignal("");
  const seed = useSignal("");
  const overrides = useSignal<Record<string, Override>>({});
  const submitErrors = useSignal<Record<string, string> | null>(null);
  const busy = useSignal(false);

  const chosen = presets.find(({ name }) => name === preset);
  const request: TrainRequest = {
    preset,
    dataset,
    ...(model.value ? { model: model.value } : {}),
    ...(seed.value ? { seed: Number(seed.value) } : {}),
    overrides: { ...channelsOverride(dataset, chosen), ...overrides.value },
  };
  const isComplete = dataset !== "" && dataset !== FOLDER && preset !== "";
  const dryRun = useDryRun(isComplete ? request : null, LENGTHS[length]?.share ?? 1).value;
  const errors = submitErrors.value ?? dryRun.errors;

  async function start(event: Event) {
    event.preventDefault();
    if (!dryRun.request) return;
    busy.value = true;
    try {
      const run = await applyResponse(call("POST /train", { body: dryRun.request, query: {} }) as Promise<Run>);
      navigate(`/runs/${run.id}`);
    } catch (error) {
      submitErrors.value = errorsByField(error);
    }
    busy.value = false;
  }

  const config = dryRun.full?.preset === preset ? dryRun.full : chosen?.training;
  return (
    <>
      <div class="view-head">
        <h1>Train</h1>
      </div>
      <form class="train" onSubmit={start} onInput={() => (submitErrors.value = null)}>
        <div class="train-settings">
          <DatasetField value={dataset} error={errors.dataset} />
          <div>
            <Field label="Preset" error={errors.preset}>
              {(attributes) => (
                <select
                  {...attributes}
                  value={preset}
                  onChange={(event) => {
                    overrides.value = {};
                    updateQuery({ preset: event.currentTarget.value }, { replace: true });
                  }}
                >
                  <PresetOptions items={presets} dataset={dataset} />
                </select>
              )}
            </Field>
            {chosen && <p class="hint">{chosen.description}</p>}
          </div>
          <LengthField
            value={length}
            dryRun={dryRun}
            error={errors.kimg ?? errors.epochs}
            onChange={(value) =>
              updateQuery({ length: value === FULL_LENGTH ? null : value, dial: null }, { replace: true })
            }
          />
          <div class="fields">
            <Field label="Publish as" error={errors.model}>
              {(attributes) => (
                <input
                  {...attributes}
                  value={model.value}
                  placeholder={dryRun.full?.model ?? chosen?.model ?? ""}
                  spellcheck={false}
                  onInput={(event) => (model.value = event.currentTarget.value)}
                />
              )}
            </Field>
            <Field label="Seed" error={errors.seed}>
              {(attributes) => (
                <input
                  {...attributes}
                  value={seed.value}
                  placeholder="0"
                  inputMode="numeric"
                  pattern="[0-9]{1,15}"
                  onInput={(event) => (seed.value = event.currentTarget.value)}
                />
              )}
            </Field>
          </div>
          <Conditional
            dataset={dataset}
            dryRun={dryRun}
            value={overrides.value.conditional}
            error={errors.conditional}
            onChange={(value) => (overrides.value = { ...overrides.value, conditional: value })}
          />
          {config && (
            <Advanced
              key={`${preset} ${dataset}`}
              config={config}
              schemas={schemas}
              overrides={overrides.value}
              errors={errors}
              onChange={(changed) => (overrides.value = changed)}
            />
          )}
        </div>
        <aside class="card estimate" aria-label="Estimate">
          <Estimate dryRun={dryRun} />
          <OtherErrors errors={errors} known={config ? groupsOf(config, schemas) : []} />
          <button type="submit" class="primary" disabled={busy.value || dryRun.busy || !dryRun.request}>
            Start training
          </button>
        </aside>
      </form>
      <details class="upload-own">
        <summary>Upload your own images</summary>
        <Uploader onUploaded={({ name }) => navigate(`/data/${name}`)} />
      </details>
    </>
  );
}

// An uploaded set has the size it was prepared in: presets of that size come first.
function PresetOptions({ items, dataset }: { items: Preset[]; dataset: string }) {
  const known = datasets.value?.find(({ name }) => name === dataset);
  const fits = ({ training: { size } }: Preset) => size === undefined || size === known?.size;
  const options = (some: Preset[]) =>
    some.map(({ name, title }) => (
      <option key={name} value={name}>
        {name}: {title}
      </option>
    ));
  if (!known || !isUploaded(known)) return <>{options(items)}</>;
  return (
    <>
      <optgroup label={`For images of ${known.size} px`}>{options(items.filter(fits))}</optgroup>
      <optgroup label="For images of other sizes">{options(items.filter((item) => !fits(item)))}</optgroup>
    </>
  );
}

// Presets work with grey and with colour images: the data set decides.
function channelsOverride(dataset: string, preset: Preset | undefined): Record<string, Override> {
  const channels = datasets.value?.find(({ name }) => name === dataset)?.channels ?? null;
  const usual = preset?.training.channels;
  return channels === null || usual === undefined || usual === channels ? {} : { channels };
}

function DatasetField({ value, error }: { value: string; error: string | undefined }) {
  const isFolder = value.startsWith(FOLDER);
  const choose = (dataset: string) => updateQuery({ dataset }, { replace: true });
  const known = datasets.value ?? [];
  return (
    <div>
      <Field label="Data set" error={error}>
        {(attributes) => (
          <select
            {...attributes}
            value={isFolder ? FOLDER : value}
            onChange={(event) => choose(event.currentTarget.value)}
          >
            {known.map(({ name, title, state }) => (
              <option key={name} value={name} disabled={state === "preparing" || state === "failed"}>
                {title}
                {state === "ready" ? "" : ` (${state === "remote" ? "not downloaded yet" : state})`}
              </option>
            ))}
            {!isFolder && !known.some(({ name }) => name === value) && <option value={value}>{value}</option>}
            <option value={FOLDER}>A folder of the service…</option>
          </select>
        )}
      </Field>
      {isFolder && (
        <label class="field">
          Folder in Atelier's images directory
          <input
            value={value.slice(FOLDER.length)}
            spellcheck={false}
            onChange={(event) => choose(FOLDER + event.currentTarget.value.trim())}
          />
        </label>
      )}
    </div>
  );
}

interface LengthFieldProps {
  value: number;
  dryRun: DryRunState;
  error: string | undefined;
  onChange: (value: number) => void;
}

function LengthField({ value, dryRun: { dry }, error, onChange }: LengthFieldProps) {
  const label = LENGTHS[value]?.label ?? "";
  const seconds = dry?.estimate.seconds;
  const text = `${label} of the preset's length${seconds == null ? "" : `, about ${duration(seconds)}`}`;
  return (
    <div class="length">
      <Field label="Training length" error={error}>
        {(attributes) => (
          <input
            {...attributes}
            type="range"
            min={0}
            max={FULL_LENGTH}
            step={1}
            value={value}
            aria-valuetext={text}
            onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
          />
        )}
      </Field>
      <div class="range-ends hint" aria-hidden="true">
        <span>quick</span>
        <span>best</span>
      </div>
      <p class="hint">{text}</p>
    </div>
  );
}

interface ConditionalProps {
  dataset: string;
  dryRun: DryRunState;
  value: Override | undefined;
  error: string | undefined;
  onChange: (value: boolean) => void;
}

// Without labels there is nothing to condition on.
function Conditional({ dataset, dryRun, value, error, onChange }: ConditionalProps) {
  const classes = datasets.value?.find(({ name }) => name === dataset)?.classes ?? [];
  if (!classes.length) return null;
  const isOn = typeof value === "boolean" ? value : (dryRun.full?.conditional ?? false);
  return (
    <div>
      <label class="check">
        <input type="checkbox" checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} />
        Conditional: learn the {classes.length} classes, so that images of one class can be generated
      </label>
      {error && <p class="error small-error">{error}</p>}
    </div>
  );
}

function Estimate({ dryRun: { dry, busy } }: { dryRun: DryRunState }) {
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

const FIELDS = new Set(["dataset", "preset", "kimg", "epochs", "model", "seed", "conditional"]);

// Errors that no field shows: overrides that the preset does not have, and errors about the request as a whole.
function OtherErrors({ errors, known }: { errors: Record<string, string>; known: Group[] }) {
  const names = new Set(known.flatMap(({ settings }) => settings.map(({ name }) => name)));
  const shown = Object.entries(errors).filter(([name]) => !FIELDS.has(name) && !names.has(name));
  return shown.map(([name, text]) => (
    <p key={name} class="error" role="alert">
      {name && `${name}: `}
      {text}
    </p>
  ));
}
