// Parts that the data views share: state, progress and summary of a data set, and the options of preparing images.

import { useEffect } from "preact/hooks";
import type { Schemas } from "../../api/schema";
import type { Dataset } from "../../api/types.ts";
import { colourMode, humanize, plural } from "../../format.ts";
import { warn } from "../../notices.tsx";
import { choicesOf, loadSchemas, schemas } from "../../stores/schema.ts";
import { Chip, Progress, type Tone } from "../../ui/parts.tsx";

const TONES: Record<Dataset["state"], Tone> = { ready: "good", remote: "accent", preparing: "warn", failed: "bad" };
const LABELS: Record<Dataset["state"], string> = {
  ready: "ready",
  remote: "not downloaded yet",
  preparing: "being prepared",
  failed: "failed",
};

export function State({ dataset: { state } }: { dataset: Dataset }) {
  return <Chip tone={TONES[state]}>{LABELS[state]}</Chip>;
}

export function Preparing({ dataset: { name, progress } }: { dataset: Dataset }) {
  const { done = 0, total = 0, fraction = 0 } = progress ?? {};
  return (
    <Progress label={`Preparation of ${name}`} fraction={total ? fraction : null}>
      {total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")} files checked` : "Waiting for a worker."}
    </Progress>
  );
}

/** A data set in one line: count, size, colours, classes, files left out. */
export function summary({ count, size, channels, classes, left_out: leftOut = 0 }: Dataset): string {
  const parts = [
    count !== null && plural(count, "image"),
    size !== null && `${size} × ${size} px`,
    channels !== null && colourMode(channels),
    classes.length > 0 && plural(classes.length, "class", "classes"),
    leftOut > 0 && `${plural(leftOut, "file")} left out`,
  ];
  return parts.filter(Boolean).join(" · ");
}

interface OptionProps {
  value: string;
  onChange: (value: string) => void;
  /** Label of the empty option, which leaves the choice to the service; without it, there is none. */
  automatic?: string;
}

type Crop = NonNullable<Schemas["UploadFields"]["crop"]>;
const CROP_LABELS: Record<Crop, string> = {
  centre: "the middle square",
  whole: "the whole image, with a border",
};

export function cropLabel(crop: string): string {
  return CROP_LABELS[crop as Crop] ?? humanize(crop);
}

// The choices of an option, without the null that stands for an omitted one.
function useChoices(option: keyof Schemas["UploadFields"]): string[] {
  useEffect(() => {
    loadSchemas().catch(warn);
  }, []);
  const choices = schemas.value && choicesOf(schemas.value, "UploadFields", option);
  return (choices?.values ?? []).filter((value) => value !== null).map(String);
}

export function SizeField({ value, onChange, automatic }: OptionProps) {
  const sizes = useChoices("size");
  return (
    <label class="field">
      Size
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {automatic && <option value="">{automatic}</option>}
        {sizes.map((size) => (
          <option key={size} value={size}>
            {size} px
          </option>
        ))}
      </select>
    </label>
  );
}

export function CropField({ value, onChange, automatic }: OptionProps) {
  const crops = useChoices("crop");
  return (
    <label class="field">
      Crop
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {automatic && <option value="">{automatic}</option>}
        {crops.map((crop) => (
          <option key={crop} value={crop}>
            {cropLabel(crop)}
          </option>
        ))}
      </select>
    </label>
  );
}
