// The map: seeds as images, the stops of the walk as points that can be dragged, the way as a line.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { arrowStep, moveFocus } from "../../ui/arrows.ts";
import { Painted } from "../../ui/Painted.tsx";
import { change, hrefWith, play, ref } from "./now.ts";
import { randomSeed, seedsFrom, step } from "./state.ts";
import { CELLS, COLUMNS, cellAt, middle, moved, type Point, path, ROWS, toggled } from "./walkmap.ts";
import { addressOf, one } from "./wishes.ts";

interface Drag {
  index: number;
  at: Point;
}

export function SeedMap() {
  const { seed, stops } = play.value;
  const drag = useSignal<Drag | null>(null);
  const map = useRef<HTMLDivElement>(null);
  const seeds = seedsFrom(seed, CELLS);

  const pointOf = (stop: bigint, index: number): Point | null => {
    if (drag.value?.index === index) return { x: drag.value.at.x * COLUMNS, y: drag.value.at.y * ROWS };
    const cell = seeds.indexOf(stop);
    return cell < 0 ? null : middle(cell);
  };
  const points = stops.map(pointOf);

  const partOf = (event: PointerEvent): Point => {
    const box = map.current?.getBoundingClientRect() ?? new DOMRect(0, 0, 1, 1);
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  const drop = (event: PointerEvent) => {
    const cell = cellAt(partOf(event));
    const to = cell === null ? undefined : seeds[cell];
    const index = drag.value?.index;
    drag.value = null;
    if (to === undefined || index === undefined) return;
    // Dropped where it was, it was clicked.
    change({ stops: stops[index] === to ? stops.toSpliced(index, 1) : moved(stops, index, to) });
  };

  const onKey = (event: KeyboardEvent) => {
    if (!map.current) return;
    const cell = Number((event.target as HTMLElement).dataset.cell);
    const index = stops.indexOf(seeds[cell] ?? -1n);
    const to = seeds[cell + arrowStep(event.key, COLUMNS)];
    // Alt with an arrow is the browser's way back: not here, not even at the map's edge.
    if (event.altKey && arrowStep(event.key, COLUMNS)) event.preventDefault();
    if (event.altKey && index >= 0 && to !== undefined) change({ stops: moved(stops, index, to) });
    moveFocus(event, map.current, COLUMNS);
  };

  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would be announced with each of its buttons. */}
      <div ref={map} class="map" role="group" aria-label="Map of seeds" onKeyDown={onKey}>
        {seeds.map((each, cell) => (
          <button
            key={each}
            type="button"
            class="cell"
            data-cell={cell}
            aria-pressed={stops.includes(each)}
            title={`seed ${each}`}
            onClick={() => change({ stops: toggled(stops, each) })}
          >
            <Painted src={addressOf(one(play.value, ref.value, each))} alt={`Seed ${each}`} />
          </button>
        ))}
        <svg class="way" viewBox={`0 0 ${COLUMNS} ${ROWS}`} preserveAspectRatio="none" aria-hidden="true">
          <path class="way-ground" d={path(points.filter((point) => point !== null))} />
          <path class="way-line" d={path(points.filter((point) => point !== null))} />
        </svg>
        {points.map((point, index) => {
          if (!point) return null;
          return (
            <span
              key={index}
              class="stop"
              data-dragged={drag.value?.index === index}
              aria-hidden="true"
              style={{ left: `${(100 * point.x) / COLUMNS}%`, top: `${(100 * point.y) / ROWS}%` }}
              onPointerDown={(event) => {
                event.preventDefault();
                event.currentTarget.setPointerCapture(event.pointerId);
                drag.value = { index, at: partOf(event) };
              }}
              onPointerMove={(event) => {
                if (drag.value?.index === index) drag.value = { index, at: partOf(event) };
              }}
              onPointerUp={drop}
              onPointerCancel={() => (drag.value = null)}
            >
              {index + 1}
            </span>
          );
        })}
      </div>
      <div class="row pages">
        <a class="button small" href={hrefWith({ seed: step(seed, -CELLS) })}>
          ← Seeds before
        </a>
        <a class="button small" href={hrefWith({ seed: step(seed, CELLS) })}>
          Seeds after →
        </a>
        <button type="button" class="small" onClick={() => change({ seed: randomSeed() })}>
          Elsewhere
        </button>
        {stops.length > 0 && (
          <button type="button" class="small" onClick={() => change({ stops: [] })}>
            Start over
          </button>
        )}
      </div>
    </>
  );
}
