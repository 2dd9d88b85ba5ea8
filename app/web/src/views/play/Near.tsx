// Variations of an image: the first steps of the ways from it to other seeds, a row each.

import { useSignal } from "@preact/signals";
import { Painted } from "../../ui/Painted.tsx";
import { Favour } from "./Favour.tsx";
import { change, hrefWith, play, ref } from "./now.ts";
import { directions } from "./state.ts";
import { addressOf, NEAR_SHOWN, one, strip } from "./wishes.ts";

const ROWS = 6;

export function Near() {
  const { seed, pick } = play.value;
  const rows = useSignal(ROWS);
  return (
    <div class="near">
      <section class="near-from sheet">
        <Painted src={addressOf(one(play.value, ref.value, seed))} alt={`Seed ${seed}, painted by ${ref.value}`} />
        <p class="seed-name">Seed {String(seed)}</p>
        <Favour seed={seed} />
        <p class="hint">Each row begins at this image and leads towards another seed.</p>
      </section>
      <div class="strips">
        {directions(seed, rows.value).map((towards) => (
          <section
            key={towards}
            class="strip-row"
            aria-label={`Towards seed ${towards}`}
            data-picked={towards === pick}
          >
            <div class="strip">
              <Painted
                src={addressOf(strip(play.value, ref.value, towards))}
                alt={`${NEAR_SHOWN} steps from seed ${seed} towards seed ${towards}`}
              />
            </div>
            <div class="row">
              <span class="hint">towards {String(towards)}</span>
              <button
                type="button"
                class="small"
                aria-pressed={towards === pick}
                onClick={() => change({ pick: towards === pick ? null : towards })}
              >
                Choose
              </button>
              <a class="button small" href={hrefWith({ view: "walk", stops: [seed, towards], pick: null })}>
                Walk there
              </a>
              <a class="button small" href={hrefWith({ seed: towards, pick: null })}>
                Use this seed
              </a>
            </div>
          </section>
        ))}
        <button type="button" onClick={() => (rows.value += ROWS)}>
          More directions
        </button>
      </div>
    </div>
  );
}
