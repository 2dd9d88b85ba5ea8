// Fields of the training form: data set, preset, length, conditional training, text.

import type { Model, Preset } from "../../api/types.ts";
import { duration } from "../../format.ts";
import { datasets, isUploaded } from "../../stores/datasets.ts";
import { Field } from "../../ui/fields.tsx";
import { type DryRunState, FULL_LENGTH, LENGTHS } from "./dryRun.ts";
import type { Override } from "./settings.ts";

/** Prefix of data sets that are folders in the images directory. */
export const FOLDER = "folder:";

interface FieldProps<Value> {
  value: Value;
  error: string | undefined;
  onChange: (value: Value) => void;
}

interface TextFieldProps extends FieldProps<string> {
  label: string;
  placeholder: string;
  spellcheck?: boolean;
  inputMode?: "numeric";
  pattern?: string;
}

export function TextField({ label, error, onChange, ...input }: TextFieldProps) {
  return (
    <Field label={label} error={error}>
      {(attributes) => <input {...attributes} {...input} onInput={(event) => onChange(event.currentTarget.value)} />}
    </Field>
  );
}

interface PresetFieldProps extends FieldProps<string> {
  presets: Preset[];
  dataset: string;
}

export function PresetField({ presets, dataset, value, error, onChange }: PresetFieldProps) {
  const chosen = presets.find(({ name }) => name === value);
  return (
    <div>
      <Field label="Preset" error={error}>
        {(attributes) => (
          <select {...attributes} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
            <PresetOptions items={presets} dataset={dataset} />
          </select>
        )}
      </Field>
      {chosen && <p class="hint">{chosen.description}</p>}
    </div>
  );
}

// An uploaded set can be trained in the size it was prepared in and in smaller ones: presets of these come first.
function PresetOptions({ items, dataset }: { items: Preset[]; dataset: string }) {
  const known = datasets.value?.find(({ name }) => name === dataset);
  const fits = ({ training: { size } }: Preset) => typeof size !== "number" || size <= (known?.size ?? 0);
  const options = (some: Preset[]) =>
    some.map(({ name, title }) => (
      <option key={name} value={name}>
        {name}: {title}
      </option>
    ));
  if (!known || !isUploaded(known)) return <>{options(items)}</>;
  return (
    <>
      <optgroup label={`For images of up to ${known.size} px`}>{options(items.filter(fits))}</optgroup>
      <optgroup label="For larger images">{options(items.filter((item) => !fits(item)))}</optgroup>
    </>
  );
}

export function DatasetField({ value, error, onChange }: FieldProps<string>) {
  const isFolder = value.startsWith(FOLDER);
  const known = datasets.value ?? [];
  return (
    <div>
      <Field label="Data set" error={error}>
        {(attributes) => (
          <select
            {...attributes}
            value={isFolder ? FOLDER : value}
            onChange={(event) => onChange(event.currentTarget.value)}
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
            onChange={(event) => onChange(FOLDER + event.currentTarget.value.trim())}
          />
        </label>
      )}
    </div>
  );
}

interface StartFieldProps extends FieldProps<string> {
  models: Model[];
}

/** A published model to start from: what it has learned saves time on images like its own. */
export function StartField({ models, value, error, onChange }: StartFieldProps) {
  const names = models
    .filter(({ versions }) => versions.some(({ state }) => state === "whole"))
    .map(({ name }) => name);
  if (value && !names.includes(value)) names.push(value);
  if (!names.length) return null;
  return (
    <div>
      <Field label="Start from" error={error}>
        {(attributes) => (
          <select {...attributes} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
            <option value="">Random weights</option>
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      {value && <p class="hint">Its best version gives the first weights; the preset auto takes its settings.</p>}
    </div>
  );
}

interface LengthFieldProps extends FieldProps<number> {
  dryRun: DryRunState;
}

export function LengthField({ value, dryRun: { dry }, error, onChange }: LengthFieldProps) {
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

interface ConditionalFieldProps {
  dataset: string;
  dryRun: DryRunState;
  value: Override | undefined;
  error: string | undefined;
  onChange: (value: boolean) => void;
}

// Without labels there is nothing to condition on.
export function ConditionalField({ dataset, dryRun, value, error, onChange }: ConditionalFieldProps) {
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
