// The name of a score as people know it, and which way it gets better.

import { meaningOf, scoreName } from "../stores/scores.ts";

export function ScoreName({ name, lower }: { name: string; lower: boolean }) {
  const way = lower ? "lower is better" : "higher is better";
  return (
    <span title={`${meaningOf(name)} ${way[0]?.toUpperCase()}${way.slice(1)}.`.trimStart()}>
      {scoreName(name)} <span aria-hidden="true">{lower ? "↓" : "↑"}</span>
      <span class="unseen">({way})</span>
    </span>
  );
}
