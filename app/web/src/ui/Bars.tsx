// Bar chart of counts: a table with a bar in each row.

import { Scroll } from "./parts.tsx";

/** Longer tables scroll by themselves. */
const MAX_ROWS = 20;

interface Props {
  title: string;
  /** What is counted: the heading of the second column. */
  unit: string;
  counts: Record<string, number>;
}

export function Bars({ title, unit, counts }: Props) {
  const rows = Object.entries(counts);
  const largest = Math.max(...rows.map(([, count]) => count), 1);
  const table = (
    <table class="bars">
      <caption class="visually-hidden">{title}</caption>
      <thead class="visually-hidden">
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
              <meter min={0} max={largest} value={count} aria-hidden="true" tabIndex={-1} />
              <span>{count.toLocaleString("en")}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
  return rows.length > MAX_ROWS ? <Scroll label={title}>{table}</Scroll> : table;
}
