// Charts over a run's length: losses, D(x) and D(G(z)), scores.

import type { Tick } from "../../api/types.ts";
import { round } from "../../format.ts";
import { bestSnapshot, isLowerBetter, primaryScore, scoreTitle } from "../../stores/scores.ts";
import { Chart, type Line } from "../../ui/Chart.tsx";
import type { RunHistory } from "./history.ts";

export function Charts({ history }: { history: RunHistory }) {
  const ticks = history.ticks.value ?? [];
  return (
    <section class="charts">
      <Losses ticks={ticks} />
      <Probabilities ticks={ticks} />
      <ScoreChart history={history} />
    </section>
  );
}

function Losses({ ticks }: { ticks: Tick[] }) {
  const last = ticks.at(-1);
  const lines: Line[] = [
    { label: "discriminator", color: "--real", values: ticks.map((tick) => tick.loss_d ?? null) },
    { label: "generator", color: "--fake", values: ticks.map((tick) => tick.loss_g ?? null) },
  ];
  return (
    <Chart
      title="Losses"
      lines={lines}
      positions={ticks.map((tick) => tick.kimg)}
      summary={
        last
          ? `At ${round(last.kimg)} kimg the discriminator's loss is ${roundOrUnknown(last.loss_d)}, the generator's ${roundOrUnknown(last.loss_g)}.`
          : ""
      }
    />
  );
}

function Probabilities({ ticks }: { ticks: Tick[] }) {
  const last = ticks.at(-1);
  // Ticks have no probabilities where the loss does not define any.
  if (last && last.d_real == null) return null;
  const lines: Line[] = [
    { label: "D(x), real images", color: "--real", values: ticks.map((tick) => tick.d_real ?? null) },
    { label: "D(G(z)), generated images", color: "--fake", values: ticks.map((tick) => tick.d_fake ?? null) },
  ];
  return (
    <Chart
      title="D(x) and D(G(z))"
      lines={lines}
      positions={ticks.map((tick) => tick.kimg)}
      range={[0, 1]}
      reference={{ value: 0.5, label: "balance" }}
      summary={
        last
          ? `At ${round(last.kimg)} kimg the discriminator rates real images at ${roundOrUnknown(last.d_real)} and generated images at ${roundOrUnknown(last.d_fake)}; balance is 0.5.`
          : ""
      }
    />
  );
}

function ScoreChart({ history }: { history: RunHistory }) {
  const evaluated = (history.snapshots.value ?? []).filter(({ scores }) => primaryScore(scores));
  const newest = primaryScore(evaluated.at(-1)?.scores ?? {});
  if (!newest) return null;
  const { name, score } = newest;
  const best = bestSnapshot(evaluated);
  const bestScore = primaryScore(best?.scores ?? {})?.score;
  const values = evaluated.map(({ scores }) => {
    const found = primaryScore(scores)?.score;
    return found?.protocol === score.protocol ? found.value : null;
  });
  const direction = isLowerBetter(score) ? "lower is better" : "higher is better";
  return (
    <Chart
      title={`Score: ${scoreTitle(name)}, ${direction}`}
      lines={[{ label: scoreTitle(name), color: "--accent", values, points: true }]}
      positions={evaluated.map(({ kimg }) => kimg)}
      {...(best ? { highlight: { index: evaluated.indexOf(best), label: "best" } } : {})}
      {...(score.floor != null ? { reference: { value: score.floor, label: "baseline: real images" } } : {})}
      summary={
        best && bestScore
          ? `The best so far is ${round(bestScore.value)} at ${round(best.kimg)} kimg; the newest is ${round(score.value)}.`
          : ""
      }
    />
  );
}

function roundOrUnknown(value: number | null | undefined): string {
  return value == null ? "unknown" : round(value);
}
