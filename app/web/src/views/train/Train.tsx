// The Train view: data set, preset, length, advanced settings, and an estimate before the start.

import "./train.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, errorMessage } from "../../api/client.ts";
import type { Preset, Run } from "../../api/types.ts";
import { currentUrl, navigate, updateQuery } from "../../router.ts";
import { datasets, datasetsError, trackDatasets } from "../../stores/datasets.ts";
import { models, trackModels } from "../../stores/models.ts";
import { loadPresets, presets } from "../../stores/presets.ts";
import { applyResponse } from "../../stores/runs.ts";
import { loadSchemas, type SchemaNodes, schemas } from "../../stores/schema.ts";
import { Failure } from "../../ui/parts.tsx";
import { Uploader } from "../data/Uploader.tsx";
import { Advanced } from "./Advanced.tsx";
import { errorsByField, FULL_LENGTH, LENGTHS, parseLength, type TrainRequest, useDryRun } from "./dryRun.ts";
import { Estimate, OtherErrors } from "./Estimate.tsx";
import { ConditionalField, DatasetField, FOLDER, LengthField, PresetField, StartField, TextField } from "./fields.tsx";
import { groupsOf, type Override } from "./settings.ts";

/** Ships with Atelier, so that the first training needs no download. */
const DEFAULT_DATASET = "mnist-mini";

export default function Train() {
  trackDatasets();
  trackModels();
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
  const start = query.get("from") ?? "";
  const model = useSignal("");
  const seed = useSignal("");
  const overrides = useSignal<Record<string, Override>>({});
  const submitErrors = useSignal<Record<string, string> | null>(null);
  const busy = useSignal(false);

  const chosen = presets.find(({ name }) => name === preset);
  const request: TrainRequest = {
    preset,
    dataset,
    ...(start ? { from: start } : {}),
    ...(model.value ? { model: model.value } : {}),
    ...(seed.value ? { seed: Number(seed.value) } : {}),
    overrides: { ...channelsOverride(dataset, chosen), ...overrides.value },
  };
  const isComplete = dataset !== "" && dataset !== FOLDER && preset !== "";
  const dryRun = useDryRun(isComplete ? request : null, LENGTHS[length]?.share ?? 1).value;
  const errors = submitErrors.value ?? dryRun.errors;

  async function submit(event: Event) {
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
      <form class="train" onSubmit={submit} onInput={() => (submitErrors.value = null)}>
        <div class="train-settings">
          <DatasetField
            value={dataset}
            error={errors.dataset}
            onChange={(value) => updateQuery({ dataset: value }, { replace: true })}
          />
          <PresetField
            presets={presets}
            dataset={dataset}
            value={preset}
            error={errors.preset}
            onChange={(value) => {
              overrides.value = {};
              updateQuery({ preset: value }, { replace: true });
            }}
          />
          <StartField
            models={models.value ?? []}
            value={start}
            error={errors.from}
            onChange={(value) => updateQuery({ from: value || null }, { replace: true })}
          />
          <LengthField
            value={length}
            dryRun={dryRun}
            error={errors.kimg ?? errors.epochs}
            onChange={(value) =>
              updateQuery({ length: value === FULL_LENGTH ? null : value, dial: null }, { replace: true })
            }
          />
          <div class="fields">
            <TextField
              label="Publish as"
              value={model.value}
              placeholder={dryRun.full?.model ?? chosen?.model ?? ""}
              spellcheck={false}
              error={errors.model}
              onChange={(value) => (model.value = value)}
            />
            <TextField
              label="Seed"
              value={seed.value}
              placeholder="0"
              inputMode="numeric"
              pattern="[0-9]{1,15}"
              error={errors.seed}
              onChange={(value) => (seed.value = value)}
            />
          </div>
          <ConditionalField
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

// Presets work with grey and with colour images: the data set decides.
function channelsOverride(dataset: string, preset: Preset | undefined): Record<string, Override> {
  const channels = datasets.value?.find(({ name }) => name === dataset)?.channels ?? null;
  const usual = preset?.training.channels;
  return channels === null || usual === undefined || usual === channels ? {} : { channels };
}
