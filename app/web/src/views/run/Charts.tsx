// A run's figures over its length: losses, D(x) and D(G(z)), scores.

import type { Tick } from "../../api/types.ts";
import { round } from "../../figures.ts";
import { bestOf, decisive, scoreName } from "../../stores/scores.ts";
import { Chart, type Line } from "../../ui/Chart.tsx";
import type { History } from "./history.ts";

export function Charts({ history }: { history: History }) {
  const ticks = history.ticks.value ?? [];
  return (
    <section class="charts">
      <Losses ticks={ticks} />
      <Probabilities ticks={ticks} />
      <Scores history={history} />
    </section>
  );
}

function Losses({ ticks }: { ticks: Tick[] }) {
  const last = ticks.at(-1);
  const lines: Line[] = [
    { label: "discriminator", color: "--real", values: ticks.map((tick) => tick.loss_d) },
    { label: "generator", color: "--fake", values: ticks.map((tick) => tick.loss_g) },
  ];
  return (
    <Chart
      title="Losses"
      lines={lines}
      at={ticks.map((tick) => tick.kimg)}
      summary={
        last
          ? `At ${round(last.kimg)} kimg the discriminator's loss is ${told(last.loss_d)}, the generator's ${told(last.loss_g)}.`
          : ""
      }
    />
  );
}

function Probabilities({ ticks }: { ticks: Tick[] }) {
  const last = ticks.at(-1);
  if (last && last.d_real === null) return null;
  const lines: Line[] = [
    { label: "D(x), of real images", color: "--real", values: ticks.map((tick) => tick.d_real) },
    { label: "D(G(z)), of generated ones", color: "--fake", values: ticks.map((tick) => tick.d_fake) },
  ];
  return (
    <Chart
      title="D(x) and D(G(z))"
      lines={lines}
      at={ticks.map((tick) => tick.kimg)}
      range={[0, 1]}
      level={{ value: 0.5, label: "balance" }}
      summary={
        last
          ? `At ${round(last.kimg)} kimg the discriminator takes real images for real at ${told(last.d_real)}, generated ones at ${told(last.d_fake)}; balance is 0.5.`
          : ""
      }
    />
  );
}

function Scores({ history }: { history: History }) {
  const judged = (history.snapshots.value ?? []).filter(({ scores }) => decisive(scores));
  const newest = decisive(judged.at(-1)?.scores ?? {});
  if (!newest) return null;
  const { name, score } = newest;
  const best = bestOf(judged);
  const bestScore = decisive(best?.scores ?? {})?.score;
  const values = judged.map(({ scores }) => {
    const found = decisive(scores)?.score;
    return found?.protocol === score.protocol ? found.value : null;
  });
  const way = score.lower_is_better === false ? "higher is better" : "lower is better";
  return (
    <Chart
      title={`Score: ${scoreName(name)}, ${way}`}
      lines={[{ label: scoreName(name), color: "--accent", values, points: true }]}
      at={judged.map(({ kimg }) => kimg)}
      {...(best ? { mark: { index: judged.indexOf(best), label: "best" } } : {})}
      {...(score.floor != null ? { level: { value: score.floor, label: "real against real" } } : {})}
      summary={
        best && bestScore
          ? `The best so far is ${round(bestScore.value)} at ${round(best.kimg)} kimg; the newest is ${round(score.value)}.`
          : ""
      }
    />
  );
}

function told(value: number | null): string {
  return value === null ? "not known" : round(value);
}
