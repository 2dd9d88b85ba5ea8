// A sheet of seeds, an image each; the one that is picked is looked at closely.

import { useRef } from "preact/hooks";
import { moveFocus } from "../../ui/arrows.ts";
import { Painted } from "../../ui/Painted.tsx";
import { Favour } from "./Favour.tsx";
import { change, hrefWith, play, ref } from "./now.ts";
import { MAX_STOPS, MOST_CELLS, seedsFrom, step } from "./state.ts";
import { addressOf, one } from "./wishes.ts";

export function Seeds() {
  const { seed, n, pick } = play.value;
  const count = Math.min(n, MOST_CELLS);
  const columns = Math.ceil(Math.sqrt(count));
  const sheet = useRef<HTMLDivElement>(null);
  return (
    <div class="seeds" data-picked={pick !== null}>
      <div>
        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would be announced with each of its buttons. */}
        <div
          ref={sheet}
          class="cells"
          role="group"
          aria-label="Seeds; arrow keys move between them"
          style={{ "--columns": columns }}
          onKeyDown={(event) => sheet.current && moveFocus(event, sheet.current, columns)}
        >
          {seedsFrom(seed, count).map((each) => (
            <button
              key={each}
              type="button"
              class="cell"
              data-cell
              aria-pressed={each === pick}
              title={`seed ${each}`}
              onClick={() => change({ pick: each === pick ? null : each })}
            >
              <Painted src={addressOf(one(play.value, ref.value, each))} alt={`Seed ${each}`} />
            </button>
          ))}
        </div>
        <div class="row pages">
          <a class="button small" href={hrefWith({ seed: step(seed, -count), pick: null })}>
            ← Seeds before
          </a>
          <a class="button small" href={hrefWith({ seed: step(seed, count), pick: null })}>
            Seeds after →
          </a>
          {n > MOST_CELLS && <span class="hint">The sheet shows {MOST_CELLS}; the grid shows more.</span>}
        </div>
      </div>
      {pick === null ? (
        <p class="hint close-up-hint">Pick an image to look at it closely, keep it, vary it, or walk through it.</p>
      ) : (
        <CloseUp seed={pick} />
      )}
    </div>
  );
}

function CloseUp({ seed }: { seed: bigint }) {
  const { stops } = play.value;
  const walked = stops.includes(seed);
  return (
    <section class="close-up sheet" aria-label={`Seed ${seed}, closely`}>
      <Painted src={addressOf(one(play.value, ref.value, seed))} alt={`Seed ${seed}, painted by ${ref.value}`} />
      <p class="seed-name">Seed {String(seed)}</p>
      <div class="row">
        <Favour seed={seed} />
        <a class="button small" href={hrefWith({ view: "near", seed, pick: null })}>
          Variations
        </a>
        <button
          type="button"
          class="small"
          disabled={walked || stops.length >= MAX_STOPS}
          onClick={() => change({ stops: [...stops, seed] })}
        >
          {walked ? "In the walk" : "Add to the walk"}
        </button>
        <a class="button small" href={hrefWith({ seed, pick: null })}>
          Use this seed
        </a>
      </div>
      {stops.length > 0 && (
        <p class="hint">
          <a href={hrefWith({ view: "walk", seed, pick: null })}>Walk through {stops.length} seeds</a>
        </p>
      )}
    </section>
  );
}
