// What to paint with: model and version, seed, count, class, truncation.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { Manifest, Model } from "../../api/types.ts";
import { warn } from "../../notices.tsx";
import { defaultRef, manifestOf, models } from "../../stores/models.ts";
import { aliasesOf, LATEST, served } from "../../stores/versions.ts";
import { NumberField } from "../../ui/NumberField.tsx";
import { change, play, ref } from "./now.ts";
import { MOST_CELLS, randomSeed, seedOf, step } from "./state.ts";

const COUNTS = [1, 4, 9, 16, 25, 36, 64, 100, 144, 256];
const REACHES: Record<number, string> = {
  0.1: "a hint",
  0.25: "a little",
  0.5: "half of the way",
  1: "all of the way",
};

export function Controls() {
  const { view } = play.value;
  return (
    <form class="controls" onSubmit={(event) => event.preventDefault()}>
      <ModelField />
      <SeedField />
      {(view === "seeds" || view === "grid") && <CountField />}
      {view === "near" && <ReachField />}
      <ClassField />
      <PsiField />
    </form>
  );
}

function ModelField() {
  return (
    <label class="field">
      Model
      <select value={play.value.model} onChange={(event) => change({ model: event.currentTarget.value, class: "" })}>
        <option value="">Default{defaultRef.value && ` (${defaultRef.value})`}</option>
        {models.value?.map((model) => (
          <optgroup key={model.name} label={model.name}>
            <option value={model.name}>
              {model.name}, as served{served(model) ? ` (${served(model)?.version})` : ""}
            </option>
            {model.versions.toReversed().map(({ version, state }) => (
              <option key={version} value={`${model.name}@${version}`} disabled={state !== "whole"}>
                {versionText(model, version, state)}
              </option>
            ))}
          </optgroup>
        ))}
        <Missing />
      </select>
    </label>
  );
}

// An address may name an alias, or what is not there: it is shown as it was asked for.
function Missing() {
  const { model } = play.value;
  const known = models.value?.some(
    (one) => one.name === model || one.versions.some((version) => version.ref === model),
  );
  return known || model === "" ? null : <option value={model}>{model}</option>;
}

function versionText(model: Model, version: number, state: string): string {
  const aliases = aliasesOf(model, version).filter((alias) => alias !== LATEST);
  return [`version ${version}`, ...aliases, ...(state === "whole" ? [] : [state])].join(" · ");
}

function SeedField() {
  const { seed } = play.value;
  const set = (to: bigint) => change({ seed: to, pick: null });
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
            const wanted = seedOf(event.currentTarget.value.trim());
            if (wanted === null) event.currentTarget.reportValidity();
            else set(wanted);
          }}
        />
        <button type="button" aria-label="Previous seed" onClick={() => set(step(seed, -1))}>
          ←
        </button>
        <button type="button" aria-label="Next seed" onClick={() => set(step(seed, 1))}>
          →
        </button>
      </div>
      <button type="button" onClick={() => set(randomSeed())}>
        Surprise me
      </button>
    </div>
  );
}

function CountField() {
  const { n, view } = play.value;
  const most = view === "seeds" ? MOST_CELLS : Number.POSITIVE_INFINITY;
  return (
    <NumberField
      label="Images"
      value={n}
      among={COUNTS.filter((count) => count <= most)}
      name={(count) => (count === 1 ? "1, a single one" : String(count))}
      onChange={(count) => change({ n: count })}
    />
  );
}

function ReachField() {
  return (
    <NumberField
      label="How far from the image"
      value={play.value.reach}
      among={Object.keys(REACHES).map(Number)}
      name={(reach) => REACHES[reach] ?? String(reach)}
      onChange={(reach) => change({ reach })}
    />
  );
}

function ClassField() {
  const manifest = useSignal<Manifest | null>(null);
  useSignalEffect(() => {
    const [name, version] = ref.value.split("@");
    if (!name || !version || !/^\d+$/.test(version)) return;
    manifestOf(name, Number(version)).then((found) => {
      manifest.value = found;
    }, warn);
  });
  const classes = manifest.value?.classes ?? [];
  if (!manifest.value?.generator.classes || !classes.length) return null;
  return (
    <label class="field">
      Class
      <select value={play.value.class} onChange={(event) => change({ class: event.currentTarget.value })}>
        <option value="">any, drawn from the seed</option>
        {classes.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

function PsiField() {
  const { psi } = play.value;
  const held = useSignal<number | null>(null);
  return (
    <label class="field">
      <span class="psi-head">
        Truncation psi <output>{(held.value ?? psi).toFixed(2)}</output>
      </span>
      <input
        type="range"
        min="0"
        max="2"
        step="0.05"
        value={psi}
        list="psi-marks"
        aria-describedby="psi-hint"
        onInput={(event) => (held.value = event.currentTarget.valueAsNumber)}
        onChange={(event) => {
          held.value = null;
          change({ psi: event.currentTarget.valueAsNumber }, { replace: true });
        }}
      />
      <datalist id="psi-marks">
        <option value="1" />
      </datalist>
      <span id="psi-hint" class="hint">
        Lower: more typical. Higher: more various. 1 changes nothing.
      </span>
    </label>
  );
}
