// Counts side by side: a table whose rows have bars as long as their counts.

import { Scroll } from "./Scroll.tsx";

/** More rows than these scroll by themselves. */
const MOST = 20;

interface Props {
  title: string;
  /** What is counted, as the heading of the second column. */
  unit: string;
  counts: Record<string, number>;
}

export function Bars({ title, unit, counts }: Props) {
  const rows = Object.entries(counts);
  const most = Math.max(...rows.map(([, count]) => count), 1);
  const table = (
    <table class="bars">
      <caption class="unseen">{title}</caption>
      <thead class="unseen">
        <tr>
          <th scope="col">{title}</th>
          <th scope="col">{unit}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, count]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              <meter min={0} max={most} value={count} aria-hidden="true" tabIndex={-1} />
              <span>{count.toLocaleString("en")}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
  return rows.length > MOST ? <Scroll label={title}>{table}</Scroll> : table;
}
