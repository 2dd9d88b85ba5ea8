// A version's scores, each with the protocol that measured it; the best among comparable versions is marked.

import type { Model, Version } from "../../api/types.ts";
import { round } from "../../figures.ts";
import { meaningOf } from "../../stores/scores.ts";
import { isBestScore } from "../../stores/versions.ts";
import { ScoreName } from "../../ui/ScoreName.tsx";

export function Scores({ model, version, full = false }: { model: Model; version: Version; full?: boolean }) {
  const all = Object.entries(version.scores);
  const shown = full ? all : all.slice(0, 3);
  if (!shown.length) return full ? <p class="hint">No scores were measured for this version.</p> : null;
  return (
    <dl class="scores">
      {shown.map(([name, score]) => (
        <div key={name}>
          <dt>
            <ScoreName name={name} lower={score.lower_is_better !== false} />
          </dt>
          <dd>
            <strong>{round(score.value)}</strong>
            {score.deviation != null && <span class="hint"> ± {round(score.deviation)}</span>}
            {isBestScore(model, name, score) && <span class="best"> best</span>}
            {full && meaningOf(name) && <p class="hint">{meaningOf(name)}</p>}
            {full && score.floor != null && (
              <p class="hint">{round(score.floor)} between real images and real images</p>
            )}
            {full && <p class="hint">{score.protocol}</p>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
