// Favourites and history, below whatever is shown.

import { addressOf as pageAddress } from "../../router.ts";
import { type Favourite, favourites, forgetVisits, toggleFavourite, visits } from "./shelf.ts";
import { DEFAULTS, type Play, seedOf, write } from "./state.ts";
import { addressOf, one } from "./wishes.ts";

export function Shelf() {
  return (
    <div class="shelves">
      <section aria-labelledby="favourites-title">
        <h2 id="favourites-title">Favourites</h2>
        {favourites.value.length ? (
          <ul class="shelf">
            {favourites.value.map((favourite) => (
              <Kept key={JSON.stringify(favourite)} favourite={favourite} />
            ))}
          </ul>
        ) : (
          <p class="hint">What you star is kept here, in this browser.</p>
        )}
      </section>
      <section aria-labelledby="visits-title">
        <div class="row shelf-head">
          <h2 id="visits-title">Lately</h2>
          {visits.value.length > 0 && (
            <button type="button" class="plain small" onClick={forgetVisits}>
              Forget
            </button>
          )}
        </div>
        {visits.value.length ? (
          <ul class="shelf">
            {visits.value.map(({ href, picture, title }) => (
              <li key={href}>
                <a href={href} title={title}>
                  <img class="picture" src={picture} alt={title} loading="lazy" width="72" height="72" />
                </a>
              </li>
            ))}
          </ul>
        ) : (
          <p class="hint">Where you have been is kept here, so that you find back.</p>
        )}
      </section>
    </div>
  );
}

function Kept({ favourite }: { favourite: Favourite }) {
  const seed = seedOf(favourite.seed) ?? 0n;
  const state: Play = { ...DEFAULTS, model: favourite.model, class: favourite.class, psi: favourite.psi, seed };
  const href = pageAddress("/play", write({ ...state, view: "near" }));
  const name = `${favourite.model}, seed ${favourite.seed}`;
  return (
    <li>
      <a href={href} title={`${name}: variations`}>
        <img
          class="picture"
          src={addressOf(one(state, favourite.model, seed))}
          alt={`Variations of ${name}`}
          loading="lazy"
          width="72"
          height="72"
        />
      </a>
      <button
        type="button"
        class="plain small remove"
        aria-label={`Remove ${name} from the favourites`}
        onClick={() => toggleFavourite(favourite)}
      >
        ✕
      </button>
    </li>
  );
}
