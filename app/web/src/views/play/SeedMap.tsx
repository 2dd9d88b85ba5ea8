// The map of seeds: an image for each seed, the stops of the walk as draggable points, the path as a line.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { arrowStep, moveFocus } from "../../ui/dom.ts";
import { GeneratedImage } from "../../ui/GeneratedImage.tsx";
import { imageRequest, requestUrl } from "./requests.ts";
import {
  CELLS,
  COLUMNS,
  cellAt,
  cellCentre,
  offsetSeed,
  type Point,
  ROWS,
  randomSeed,
  seedsFrom,
  toggleStop,
  walkPath,
} from "./seeds.ts";
import { hrefWith, modelRef, state, updateState } from "./state.ts";

interface Drag {
  index: number;
  position: Point;
}

export function SeedMap() {
  const { seed, stops } = state.value;
  const drag = useSignal<Drag | null>(null);
  const map = useRef<HTMLDivElement>(null);
  const seeds = seedsFrom(seed, CELLS);

  const pointOf = (stop: bigint, index: number): Point | null => {
    if (drag.value?.index === index) return { x: drag.value.position.x * COLUMNS, y: drag.value.position.y * ROWS };
    const cell = seeds.indexOf(stop);
    return cell < 0 ? null : cellCentre(cell);
  };
  const points = stops.map(pointOf);

  const positionOf = (event: PointerEvent): Point => {
    const box = map.current?.getBoundingClientRect() ?? new DOMRect(0, 0, 1, 1);
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  const drop = (event: PointerEvent) => {
    const cell = cellAt(positionOf(event));
    const target = cell === null ? undefined : seeds[cell];
    const index = drag.value?.index;
    drag.value = null;
    if (target === undefined || index === undefined) return;
    // A stop that is dropped where it was has been clicked: that removes it.
    updateState({ stops: stops[index] === target ? stops.toSpliced(index, 1) : stops.with(index, target) });
  };

  const onKey = (event: KeyboardEvent) => {
    if (!map.current) return;
    const cell = Number((event.target as HTMLElement).dataset.cell);
    const index = stops.indexOf(seeds[cell] ?? -1n);
    const target = seeds[cell + arrowStep(event.key, COLUMNS)];
    // Alt with an arrow goes back in the browser's history: prevent that even at the edge of the map.
    if (event.altKey && arrowStep(event.key, COLUMNS)) event.preventDefault();
    if (event.altKey && index >= 0 && target !== undefined) updateState({ stops: stops.with(index, target) });
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
            onClick={() => updateState({ stops: toggleStop(stops, each) })}
          >
            <GeneratedImage src={requestUrl(imageRequest(state.value, modelRef.value, each))} alt={`Seed ${each}`} />
          </button>
        ))}
        <svg class="walk-path" viewBox={`0 0 ${COLUMNS} ${ROWS}`} preserveAspectRatio="none" aria-hidden="true">
          <path class="walk-path-outline" d={walkPath(points.filter((point) => point !== null))} />
          <path class="walk-path-line" d={walkPath(points.filter((point) => point !== null))} />
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
                drag.value = { index, position: positionOf(event) };
              }}
              onPointerMove={(event) => {
                if (drag.value?.index === index) drag.value = { index, position: positionOf(event) };
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
        <a class="button small" href={hrefWith({ seed: offsetSeed(seed, -CELLS) })}>
          ← Previous seeds
        </a>
        <a class="button small" href={hrefWith({ seed: offsetSeed(seed, CELLS) })}>
          Next seeds →
        </a>
        <button type="button" class="small" onClick={() => updateState({ seed: randomSeed() })}>
          Random seeds
        </button>
        {stops.length > 0 && (
          <button type="button" class="small" onClick={() => updateState({ stops: [] })}>
            Clear the walk
          </button>
        )}
      </div>
    </>
  );
}
