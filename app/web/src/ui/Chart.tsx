// Line chart over a run's length, drawn by uPlot, with a one-sentence summary and a table of its values.

import "uplot/dist/uPlot.min.css";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { round } from "../format.ts";
import { theme } from "../theme.ts";
import { Scroll } from "./parts.tsx";

export interface Line {
  label: string;
  /** Name of a CSS custom property, such as `--real`. */
  color: string;
  values: (number | null)[];
  /** Whether each value is also drawn as a point. */
  points?: boolean;
}

interface Props {
  title: string;
  /** What the latest values say, in a sentence. */
  summary: string;
  /** Positions in kimg, ascending. */
  positions: number[];
  lines: Line[];
  /** Range of the values; by default it fits them. */
  range?: [number, number];
  /** A horizontal reference line. */
  reference?: { value: number; label: string } | undefined;
  /** A highlighted position. */
  highlight?: { index: number; label: string } | undefined;
}

const HEIGHT = 240;
const MAX_TABLE_ROWS = 50;

export function Chart({ title, summary, positions, lines, range, reference, highlight }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const cursor = useSignal<number | null>(null);
  const index = cursor.value ?? positions.length - 1;
  const latest = useRef({ reference, highlight, positions, lines });
  latest.current = { reference, highlight, positions, lines };
  const shape = `${theme.value} ${useDark()} ${lines.map(({ label }) => label).join()}`;

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const color = (name: string) => resolveColor(element, name);
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        scales: { x: { time: false, range: (_, __, last) => [0, last || 1] }, y: range ? { range } : {} },
        axes: [axis(color, { label: "kimg", labelSize: 20 }), axis(color, { size: 56 })],
        series: [
          {},
          ...lines.map(({ color: name, points }) => ({
            stroke: color(name),
            width: 1.75,
            spanGaps: true,
            points: { show: points === true, size: 6, fill: color(name) },
          })),
        ],
        hooks: {
          draw: [(chart) => annotate(chart, latest.current, color)],
          setCursor: [
            (chart) => {
              cursor.value = chart.cursor.idx ?? null;
            },
          ],
        },
      },
      [positions, ...lines.map(({ values }) => values)],
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData([positions, ...lines.map(({ values }) => values)]);
  }, [positions, lines]);

  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="legend">
          {lines.map(({ label, color, values }) => (
            <li key={label}>
              <Swatch color={color} /> {label} <strong>{formatValue(values[index])}</strong>
            </li>
          ))}
          {positions[index] !== undefined && <li class="hint">at {round(positions[index])} kimg</li>}
        </ul>
      </figcaption>
      <div ref={frame} class="plot" role="img" aria-label={`${title}. ${summary || "No values yet."}`} />
      <p class="hint">{summary || "No values yet."}</p>
      {positions.length > 0 && <DataTable title={title} positions={positions} lines={lines} highlight={highlight} />}
    </figure>
  );
}

// The content security policy forbids inline styles: the colour is an attribute, which the style sheet reads.
function Swatch({ color }: { color: string }) {
  return (
    <svg class="swatch" width="12" height="4" aria-hidden="true" data-color={color.slice(2)}>
      <rect width="12" height="4" rx="2" />
    </svg>
  );
}

function DataTable({ title, positions, lines, highlight }: Pick<Props, "title" | "positions" | "lines" | "highlight">) {
  const open = useSignal(false);
  const step = Math.max(1, Math.ceil(positions.length / MAX_TABLE_ROWS));
  const rows = positions
    .map((_, row) => row)
    .filter((row) => row % step === 0 || row === positions.length - 1 || row === highlight?.index);
  return (
    <details onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>Table{step > 1 && `, one value in ${step}`}</summary>
      {open.value && (
        <Scroll label={`Table: ${title}`}>
          <table>
            <thead>
              <tr>
                <th scope="col">kimg</th>
                {lines.map(({ label }) => (
                  <th key={label} scope="col">
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row}>
                  <th scope="row">
                    {formatValue(positions[row])}{" "}
                    {row === highlight?.index && <span class="best">{highlight.label}</span>}
                  </th>
                  {lines.map(({ label, values }) => (
                    <td key={label}>{formatValue(values[row])}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </details>
  );
}

function formatValue(number: number | null | undefined): string {
  return number === null || number === undefined ? "–" : round(number);
}

function axis(color: (name: string) => string, more: uPlot.Axis): uPlot.Axis {
  const grid = { stroke: color("--border"), width: 1 };
  return { stroke: color("--text-muted"), grid, ticks: grid, font: "12px system-ui, sans-serif", ...more };
}

type Annotations = Pick<Props, "reference" | "highlight" | "positions" | "lines">;

// Draw the reference line and the highlighted position over the lines.
function annotate(
  chart: uPlot,
  { reference, highlight, positions, lines }: Annotations,
  color: (name: string) => string,
): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = "alphabetic";
  ctx.fillStyle = ctx.strokeStyle = color("--text-muted");
  if (reference) {
    const y = chart.valToPos(reference.value, "y", true);
    if (y >= bbox.top && y <= bbox.top + bbox.height) {
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.textAlign = "right";
      ctx.fillText(reference.label, bbox.left + bbox.width - 4, y - 4 * devicePixelRatio);
    }
  }
  const highlighted = highlight && lines[0]?.values[highlight.index];
  const where = highlight && positions[highlight.index];
  if (highlighted != null && where !== undefined) {
    const [x, y] = [chart.valToPos(where, "x", true), chart.valToPos(highlighted, "y", true)];
    ctx.setLineDash([]);
    ctx.fillStyle = ctx.strokeStyle = color("--good");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    ctx.arc(x, y, 7 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.stroke();
    ctx.textAlign = x > bbox.left + bbox.width / 2 ? "right" : "left";
    ctx.fillText(
      highlight?.label ?? "",
      x + (ctx.textAlign === "left" ? 12 : -12) * devicePixelRatio,
      y - 10 * devicePixelRatio,
    );
  }
  ctx.restore();
}

// A canvas does not resolve custom properties: read the computed colour of an element that uses it.
function resolveColor(parent: HTMLElement, name: string): string {
  const probe = parent.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const DARK = matchMedia("(prefers-color-scheme: dark)");

function useDark(): boolean {
  const dark = useSignal(DARK.matches);
  useEffect(() => {
    const changed = () => {
      dark.value = DARK.matches;
    };
    DARK.addEventListener("change", changed);
    return () => DARK.removeEventListener("change", changed);
  }, [dark]);
  return dark.value;
}
