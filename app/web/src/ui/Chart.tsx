// Lines over a run's length, drawn by uPlot; with what they say in a sentence, and a table behind them.

import "uplot/dist/uPlot.min.css";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { round } from "../figures.ts";
import { theme } from "../theme.ts";
import { Scroll } from "./Scroll.tsx";

export interface Line {
  label: string;
  /** The name of a colour among the tokens. */
  color: string;
  values: (number | null)[];
  /** Whether each value is drawn as a point too. */
  points?: boolean;
}

interface Props {
  title: string;
  /** What the chart says at its end. */
  summary: string;
  /** Positions in kimg, ascending. */
  at: number[];
  lines: Line[];
  /** Of the values; by default what they need. */
  range?: [number, number];
  /** A value worth comparing with. */
  level?: { value: number; label: string } | undefined;
  /** A position that stands out. */
  mark?: { index: number; label: string } | undefined;
}

const HEIGHT = 240;
const ROWS = 50;

export function Chart({ title, summary, at, lines, range, level, mark }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const cursor = useSignal<number | null>(null);
  const index = cursor.value ?? at.length - 1;
  const drawn = useRef({ level, mark, at, lines });
  drawn.current = { level, mark, at, lines };
  const shape = `${theme.value} ${useDark()} ${lines.map(({ label }) => label).join()}`;

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const ink = (name: string) => colour(element, name);
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        scales: { x: { time: false, range: (_, __, last) => [0, last || 1] }, y: range ? { range } : {} },
        axes: [axis(ink, { label: "kimg", labelSize: 20 }), axis(ink, { size: 56 })],
        series: [
          {},
          ...lines.map(({ color, points }) => ({
            stroke: ink(color),
            width: 1.75,
            spanGaps: true,
            points: { show: points === true, size: 6, fill: ink(color) },
          })),
        ],
        hooks: {
          draw: [(chart) => annotate(chart, drawn.current, ink)],
          setCursor: [
            (chart) => {
              cursor.value = chart.cursor.idx ?? null;
            },
          ],
        },
      },
      [at, ...lines.map(({ values }) => values)],
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
    plot.current?.setData([at, ...lines.map(({ values }) => values)]);
  }, [at, lines]);

  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="legend">
          {lines.map(({ label, color, values }) => (
            <li key={label}>
              <Swatch color={color} /> {label} <strong>{value(values[index])}</strong>
            </li>
          ))}
          {at[index] !== undefined && <li class="hint">at {round(at[index])} kimg</li>}
        </ul>
      </figcaption>
      <div ref={frame} class="plot" role="img" aria-label={`${title}. ${summary || "There is nothing to draw yet."}`} />
      <p class="hint">{summary || "There is nothing to draw yet."}</p>
      {at.length > 0 && <Behind title={title} at={at} lines={lines} mark={mark} />}
    </figure>
  );
}

// Colours are attributes: inline styles are not allowed on this page.
function Swatch({ color }: { color: string }) {
  return (
    <svg class="swatch" width="12" height="4" aria-hidden="true" data-color={color.slice(2)}>
      <rect width="12" height="4" rx="2" />
    </svg>
  );
}

function Behind({ title, at, lines, mark }: Pick<Props, "title" | "at" | "lines" | "mark">) {
  const open = useSignal(false);
  const step = Math.max(1, Math.ceil(at.length / ROWS));
  const rows = at
    .map((_, row) => row)
    .filter((row) => row % step === 0 || row === at.length - 1 || row === mark?.index);
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
                    {value(at[row])} {row === mark?.index && <span class="best">{mark.label}</span>}
                  </th>
                  {lines.map(({ label, values }) => (
                    <td key={label}>{value(values[row])}</td>
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

function value(number: number | null | undefined): string {
  return number === null || number === undefined ? "–" : round(number);
}

function axis(ink: (name: string) => string, more: uPlot.Axis): uPlot.Axis {
  const grid = { stroke: ink("--line"), width: 1 };
  return { stroke: ink("--faint"), grid, ticks: grid, font: "12px system-ui, sans-serif", ...more };
}

type Drawn = Pick<Props, "level" | "mark" | "at" | "lines">;

// What lies across the lines: a value to compare with, and the position that stands out.
function annotate(chart: uPlot, { level, mark, at, lines }: Drawn, ink: (name: string) => string): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = "alphabetic";
  ctx.fillStyle = ctx.strokeStyle = ink("--faint");
  if (level) {
    const y = chart.valToPos(level.value, "y", true);
    if (y >= bbox.top && y <= bbox.top + bbox.height) {
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.textAlign = "right";
      ctx.fillText(level.label, bbox.left + bbox.width - 4, y - 4 * devicePixelRatio);
    }
  }
  const marked = mark && lines[0]?.values[mark.index];
  const where = mark && at[mark.index];
  if (marked != null && where !== undefined) {
    const [x, y] = [chart.valToPos(where, "x", true), chart.valToPos(marked, "y", true)];
    ctx.setLineDash([]);
    ctx.fillStyle = ctx.strokeStyle = ink("--good");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    ctx.arc(x, y, 7 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.stroke();
    ctx.textAlign = x > bbox.left + bbox.width / 2 ? "right" : "left";
    ctx.fillText(
      mark?.label ?? "",
      x + (ctx.textAlign === "left" ? 12 : -12) * devicePixelRatio,
      y - 10 * devicePixelRatio,
    );
  }
  ctx.restore();
}

// A canvas takes no custom properties: the colour is read off an element that has it.
function colour(near: HTMLElement, name: string): string {
  const probe = near.appendChild(document.createElement("i"));
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
