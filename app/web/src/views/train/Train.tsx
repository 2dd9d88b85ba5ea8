// Starts a training: on what, with which preset, for how long; what it will take is told before it starts.

import "./train.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, words } from "../../api/client.ts";
import type { Preset, Run } from "../../api/types.ts";
import { bytes, duration, plural, round } from "../../figures.ts";
import { navigate, patchQuery, place } from "../../router.ts";
import { datasets, datasetsError, isUploaded, keepDatasets } from "../../stores/datasets.ts";
import { keepPresets, presets } from "../../stores/presets.ts";
import { takeOver } from "../../stores/runs.ts";
import { Failure } from "../../ui/Failure.tsx";
import { Uploader } from "../data/Uploader.tsx";
import { Advanced } from "./Advanced.tsx";
import { Field } from "./Field.tsx";
import { ALL, STOPS, stopOf } from "./length.ts";
import { byField, type Plan, type Request, usePlan } from "./plan.ts";
import { groupsOf, type Override, type Values } from "./settings.ts";

const FOLDER = "folder:";

export default function Train() {
  keepDatasets();
  const failed = useSignal<unknown>(null);
  useEffect(() => {
    keepPresets().catch((error: unknown) => {
      failed.value = error;
    });
  }, [failed]);
  const error = failed.value ?? (datasets.value === null ? datasetsError.value : null);
  if (error !== null) return <Failure title="There is nothing to choose from yet" text={words(error)} />;
  if (datasets.value === null || presets.value === null) return <p class="loading">Loading…</p>;
  return <Form presets={presets.value} />;
}

function Form({ presets }: { presets: Preset[] }) {
  const { query } = place.value;
  const dataset = query.get("dataset") ?? "mnist-mini";
  const preset = query.get("preset") ?? presets[0]?.name ?? "";
  const stop = stopOf(query.get("dial"));
  const model = useSignal("");
  const seed = useSignal("");
  const overrides = useSignal<Record<string, Override>>({});
  const refused = useSignal<Record<string, string> | null>(null);
  const busy = useSignal(false);

  const chosen = presets.find(({ name }) => name === preset);
  const request: Request = {
    preset,
    dataset,
    ...(model.value ? { model: model.value } : {}),
    ...(seed.value ? { seed: Number(seed.value) } : {}),
    overrides: { ...ofImages(dataset, chosen), ...overrides.value },
  };
  const isComplete = dataset !== "" && dataset !== FOLDER && preset !== "";
  const plan = usePlan(isComplete ? request : null, STOPS[stop]?.share ?? 1).value;
  const errors = refused.value ?? plan.errors;

  async function start(event: Event) {
    event.preventDefault();
    if (!plan.request) return;
    busy.value = true;
    try {
      const run = await takeOver(call("POST /train", { body: plan.request, query: {} }) as Promise<Run>);
      navigate(`/runs/${run.id}`);
    } catch (error) {
      refused.value = byField(error);
    }
    busy.value = false;
  }

  const config = plan.full?.preset === preset ? plan.full : chosen?.training;
  return (
    <>
      <div class="view-head">
        <h1>Train</h1>
      </div>
      <form class="train" onSubmit={start} onInput={() => (refused.value = null)}>
        <div class="choices">
          <DatasetField value={dataset} error={errors.dataset} />
          <div>
            <Field label="Preset" error={errors.preset}>
              {(attributes) => (
                <select
                  {...attributes}
                  value={preset}
                  onChange={(event) => {
                    overrides.value = {};
                    patchQuery({ preset: event.currentTarget.value }, { replace: true });
                  }}
                >
                  <Presets items={presets} dataset={dataset} />
                </select>
              )}
            </Field>
            {chosen && <p class="hint">{chosen.description}</p>}
          </div>
          <Dial
            value={stop}
            plan={plan}
            error={errors.kimg ?? errors.epochs}
            onChange={(value) => patchQuery({ dial: value === ALL ? null : value }, { replace: true })}
          />
          <div class="fields">
            <Field label="Publish as" error={errors.model}>
              {(attributes) => (
                <input
                  {...attributes}
                  value={model.value}
                  placeholder={plan.full?.model ?? chosen?.model ?? ""}
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
            plan={plan}
            value={overrides.value.conditional}
            error={errors.conditional}
            onChange={(value) => (overrides.value = { ...overrides.value, conditional: value })}
          />
          {config && (
            <Advanced
              key={`${preset} ${dataset}`}
              config={config}
              overrides={overrides.value}
              errors={errors}
              onChange={(changed) => (overrides.value = changed)}
            />
          )}
        </div>
        <aside class="sheet estimate" aria-label="What it will take">
          <Estimate plan={plan} />
          <Elsewhere errors={errors} known={config} />
          <button type="submit" class="primary" disabled={busy.value || plan.busy || !plan.request}>
            Start the training
          </button>
        </aside>
      </form>
      <details class="bring">
        <summary>Bring images of your own</summary>
        <Uploader onTaken={({ name }) => navigate(`/data/${name}`)} />
      </details>
    </>
  );
}

// An uploaded set has the size that it was prepared in: presets of that size come first.
function Presets({ items, dataset }: { items: Preset[]; dataset: string }) {
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

// A preset's networks learn colours as well as greys: the images decide.
function ofImages(dataset: string, preset: Preset | undefined): Record<string, Override> {
  const channels = datasets.value?.find(({ name }) => name === dataset)?.channels ?? null;
  const usual = preset?.training.channels;
  return channels === null || usual === undefined || usual === channels ? {} : { channels };
}

function DatasetField({ value, error }: { value: string; error: string | undefined }) {
  const isFolder = value.startsWith(FOLDER);
  const choose = (dataset: string) => patchQuery({ dataset }, { replace: true });
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
                {state === "ready" ? "" : ` (${state === "remote" ? "to be downloaded" : state})`}
              </option>
            ))}
            {!isFolder && !known.some(({ name }) => name === value) && <option value={value}>{value}</option>}
            <option value={FOLDER}>A folder on this machine…</option>
          </select>
        )}
      </Field>
      {isFolder && (
        <label class="field">
          Folder below Atelier's images directory
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

interface DialProps {
  value: number;
  plan: Plan;
  error: string | undefined;
  onChange: (value: number) => void;
}

function Dial({ value, plan: { dry }, error, onChange }: DialProps) {
  const label = STOPS[value]?.label ?? "";
  const seconds = dry?.estimate.seconds;
  const text = `${label} of the preset's length${seconds == null ? "" : `, about ${duration(seconds)}`}`;
  return (
    <div class="dial">
      <Field label="How long" error={error}>
        {(attributes) => (
          <input
            {...attributes}
            type="range"
            min={0}
            max={ALL}
            step={1}
            value={value}
            aria-valuetext={text}
            onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
          />
        )}
      </Field>
      <div class="ends hint" aria-hidden="true">
        <span>quick</span>
        <span>best</span>
      </div>
      <p class="hint">{text}</p>
    </div>
  );
}

interface ConditionalProps {
  dataset: string;
  plan: Plan;
  value: Override | undefined;
  error: string | undefined;
  onChange: (value: boolean) => void;
}

// Only where the images have labels is there anything to tell apart.
function Conditional({ dataset, plan, value, error, onChange }: ConditionalProps) {
  const classes = datasets.value?.find(({ name }) => name === dataset)?.classes ?? [];
  if (!classes.length) return null;
  const isOn = typeof value === "boolean" ? value : (plan.full?.conditional ?? false);
  return (
    <div>
      <label class="check">
        <input type="checkbox" checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} />
        Conditional: learn the {classes.length} classes apart, to ask for one by its name
      </label>
      {error && <p class="error small-error">{error}</p>}
    </div>
  );
}

function Estimate({ plan: { dry, busy } }: { plan: Plan }) {
  if (!dry)
    return (
      <p class="hint">{busy ? "Looking at what it would take…" : "Something has to be chosen otherwise first."}</p>
    );
  const { config, estimate, chosen } = dry;
  const { seconds, time_source: timeSource, memory_bytes: memory, images, batches } = estimate;
  return (
    <div aria-busy={busy}>
      <h2>What it will take</h2>
      <p class="unseen" role="status">
        {seconds === null ? "It is not known how long it takes." : `It takes about ${duration(seconds)}.`}
      </p>
      <dl>
        <dt>Time</dt>
        <dd>
          {seconds === null ? "not known before a run has measured it" : `about ${duration(seconds)}`}
          {timeSource && <span class="hint"> by {timeSource}</span>}
        </dd>
        <dt>Memory</dt>
        <dd>{memory === null ? "not known yet" : `about ${bytes(memory)}`}</dd>
        <dt>Length</dt>
        <dd>
          {config.epochs != null ? plural(config.epochs, "epoch") : `${round(config.kimg ?? 0)} kimg`}
          {images !== null && batches !== null && (
            <span class="hint"> {`${plural(images, "image")} in ${plural(batches, "batch", "batches")}`}</span>
          )}
        </dd>
        <dt>Images</dt>
        <dd>
          {config.size} × {config.size} px, {config.channels === 1 ? "grey" : "colour"}
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

// What no field of the form shows: an override that the preset has not, or something about the request as a whole.
function Elsewhere({ errors, known }: { errors: Record<string, string>; known: Values | undefined }) {
  const names = new Set(groupsOf(known ?? {}).flatMap(({ settings }) => settings.map(({ name }) => name)));
  const shown = Object.entries(errors).filter(([name]) => !FIELDS.has(name) && !names.has(name));
  return shown.map(([name, text]) => (
    <p key={name} class="error" role="alert">
      {name && `${name}: `}
      {text}
    </p>
  ));
}
