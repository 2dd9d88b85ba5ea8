// In which state a data set is, and how far its preparation.

import type { Dataset } from "../../api/types.ts";
import { Chip, type Tone } from "../../ui/Chip.tsx";
import { Progress } from "../../ui/Progress.tsx";

const TONES: Record<Dataset["state"], Tone> = { ready: "good", remote: "accent", preparing: "warn", failed: "bad" };
const WORDS: Record<Dataset["state"], string> = {
  ready: "ready",
  remote: "to be downloaded",
  preparing: "being prepared",
  failed: "failed",
};

export function State({ dataset: { state } }: { dataset: Dataset }) {
  return <Chip tone={TONES[state]}>{WORDS[state]}</Chip>;
}

export function Preparing({ dataset: { name, progress } }: { dataset: Dataset }) {
  const { done = 0, total = 0, fraction = 0 } = progress ?? {};
  return (
    <Progress label={`Preparation of ${name}`} fraction={total ? fraction : null}>
      {total
        ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")} files looked at`
        : "A worker will look at it soon."}
    </Progress>
  );
}
