// Scores of a version, each with the protocol that measured it; the best among comparable versions is marked.

import type { Model, Version } from "../api/types.ts";
import { round } from "../format.ts";
import { isLowerBetter, scoreDescription, scoreTitle } from "../stores/scores.ts";
import { isBestScore } from "../stores/versions.ts";

const SUMMARY_COUNT = 3;

/** All scores with their protocols if `full`; otherwise the first ones. */
export function Scores({ model, version, full = false }: { model: Model; version: Version; full?: boolean }) {
  const scores = Object.entries(version.scores);
  const shown = full ? scores : scores.slice(0, SUMMARY_COUNT);
  if (!shown.length) return full ? <p class="hint">No scores were measured for this version.</p> : null;
  return (
    <dl class="scores">
      {shown.map(([name, score]) => (
        <div key={name}>
          <dt>
            <ScoreTitle name={name} lower={isLowerBetter(score)} />
          </dt>
          <dd>
            <strong>{round(score.value)}</strong>
            {score.deviation != null && <span class="hint"> ± {round(score.deviation)}</span>}
            {isBestScore(model, name, score) && <span class="best"> best</span>}
            {full && scoreDescription(name) && <p class="hint">{scoreDescription(name)}</p>}
            {full && score.floor != null && <p class="hint">Baseline of real images: {round(score.floor)}</p>}
            {full && <p class="hint">{score.protocol}</p>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** A score's title, with the direction in which it improves. */
export function ScoreTitle({ name, lower }: { name: string; lower: boolean }) {
  const direction = lower ? "lower is better" : "higher is better";
  return (
    <span title={`${scoreDescription(name)} ${direction[0]?.toUpperCase()}${direction.slice(1)}.`.trimStart()}>
      {scoreTitle(name)} <span aria-hidden="true">{lower ? "↓" : "↑"}</span>
      <span class="visually-hidden">({direction})</span>
    </span>
  );
}
