// Sampling settings: model and version, seed, number of images, class, truncation.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { Manifest, Model } from "../../api/types.ts";
import { warn } from "../../notices.tsx";
import { defaultRef, loadManifest, models } from "../../stores/models.ts";
import { aliasesOf, LATEST, servedVersion } from "../../stores/versions.ts";
import { NumberField } from "../../ui/fields.tsx";
import { MAX_CELLS } from "./query.ts";
import { offsetSeed, parseSeed, randomSeed } from "./seeds.ts";
import { modelRef, state, updateState } from "./state.ts";

const COUNTS = [1, 4, 9, 16, 25, 36, 64, 100, 144, 256];
const REACHES: Record<number, string> = {
  0.1: "10 % of the way",
  0.25: "25 % of the way",
  0.5: "half of the way",
  1: "all of the way",
};

export function Controls() {
  const { view } = state.value;
  return (
    <form class="controls" onSubmit={(event) => event.preventDefault()}>
      <ModelField />
      <SeedField />
      {(view === "seeds" || view === "grid") && <CountField />}
      {view === "variations" && <ReachField />}
      <ClassField />
      <PsiField />
    </form>
  );
}

function ModelField() {
  return (
    <label class="field">
      Model
      <select
        value={state.value.model}
        onChange={(event) => updateState({ model: event.currentTarget.value, class: "" })}
      >
        <option value="">Default{defaultRef.value && ` (${defaultRef.value})`}</option>
        {models.value?.map((model) => (
          <optgroup key={model.name} label={model.name}>
            <option value={model.name}>
              {model.name}, as served{servedVersion(model) ? ` (${servedVersion(model)?.version})` : ""}
            </option>
            {model.versions.toReversed().map(({ version, state }) => (
              <option key={version} value={`${model.name}@${version}`} disabled={state !== "whole"}>
                {versionText(model, version, state)}
              </option>
            ))}
          </optgroup>
        ))}
        <UnlistedModel />
      </select>
    </label>
  );
}

// The URL may name an alias or an unknown model: it stays selectable as it is.
function UnlistedModel() {
  const { model } = state.value;
  const known = models.value?.some(
    (each) => each.name === model || each.versions.some((version) => version.ref === model),
  );
  return known || model === "" ? null : <option value={model}>{model}</option>;
}

function versionText(model: Model, version: number, state: string): string {
  const aliases = aliasesOf(model, version).filter((alias) => alias !== LATEST);
  return [`version ${version}`, ...aliases, ...(state === "whole" ? [] : [state])].join(" · ");
}

function SeedField() {
  const { seed } = state.value;
  const set = (to: bigint) => updateState({ seed: to, pick: null });
  return (
    <div class="field">
      <label for="seed">Seed</label>
      <div class="row seed-row">
        <input
          id="seed"
          inputMode="numeric"
          pattern="[0-9]{1,19}"
          title="a whole number up to 9223372036854775807"
          autocomplete="off"
          required
          value={String(seed)}
          onChange={(event) => {
            const parsed = parseSeed(event.currentTarget.value.trim());
            if (parsed === null) event.currentTarget.reportValidity();
            else set(parsed);
          }}
        />
        <button type="button" aria-label="Previous seed" onClick={() => set(offsetSeed(seed, -1))}>
          ←
        </button>
        <button type="button" aria-label="Next seed" onClick={() => set(offsetSeed(seed, 1))}>
          →
        </button>
      </div>
      <button type="button" onClick={() => set(randomSeed())}>
        Random seed
      </button>
    </div>
  );
}

function CountField() {
  const { n, view } = state.value;
  const limit = view === "seeds" ? MAX_CELLS : Number.POSITIVE_INFINITY;
  return (
    <NumberField
      label="Images"
      value={n}
      choices={COUNTS.filter((count) => count <= limit)}
      onChange={(count) => updateState({ n: count })}
    />
  );
}

function ReachField() {
  return (
    <NumberField
      label="How far from the image"
      value={state.value.reach}
      choices={Object.keys(REACHES).map(Number)}
      format={(reach) => REACHES[reach] ?? String(reach)}
      onChange={(reach) => updateState({ reach })}
    />
  );
}

function ClassField() {
  const manifest = useSignal<Manifest | null>(null);
  useSignalEffect(() => {
    const [name, version] = modelRef.value.split("@");
    if (!name || !version || !/^\d+$/.test(version)) return;
    loadManifest(name, Number(version)).then((found) => {
      manifest.value = found;
    }, warn);
  });
  const classes = manifest.value?.classes ?? [];
  if (!manifest.value?.generator.classes || !classes.length) return null;
  return (
    <label class="field">
      Class
      <select value={state.value.class} onChange={(event) => updateState({ class: event.currentTarget.value })}>
        <option value="">any, drawn from the seed</option>
        {classes.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

function PsiField() {
  const { psi } = state.value;
  const dragged = useSignal<number | null>(null);
  return (
    <label class="field">
      <span class="psi-head">
        Truncation psi <output>{(dragged.value ?? psi).toFixed(2)}</output>
      </span>
      <input
        type="range"
        min="0"
        max="2"
        step="0.05"
        value={psi}
        list="psi-marks"
        aria-describedby="psi-hint"
        onInput={(event) => (dragged.value = event.currentTarget.valueAsNumber)}
        onChange={(event) => {
          dragged.value = null;
          updateState({ psi: event.currentTarget.valueAsNumber }, { replace: true });
        }}
      />
      <datalist id="psi-marks">
        <option value="1" />
      </datalist>
      <span id="psi-hint" class="hint">
        Lower: more typical. Higher: more varied. 1: no truncation.
      </span>
    </label>
  );
}
