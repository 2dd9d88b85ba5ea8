// Favourites and history: the star of an image, and the lists below every view of Play.

import { formatUrl } from "../../router.ts";
import { clearVisits, type Favourite, favourites, isFavourite, toggleFavourite, visits } from "./favourites.ts";
import { DEFAULTS, formatState, type PlayState } from "./query.ts";
import { imageRequest, requestUrl } from "./requests.ts";
import { parseSeed } from "./seeds.ts";
import { modelRef, state } from "./state.ts";

export function FavouriteButton({ seed }: { seed: bigint }) {
  const { psi, class: label } = state.value;
  const item: Favourite = { model: modelRef.value, seed: String(seed), class: label, psi };
  const isStarred = isFavourite(item);
  return (
    <button type="button" class="small" aria-pressed={isStarred} onClick={() => toggleFavourite(item)}>
      <span aria-hidden="true">{isStarred ? "★" : "☆"}</span> Favourite
    </button>
  );
}

export function FavouritesAndHistory() {
  return (
    <div class="collections">
      <section aria-labelledby="favourites-title">
        <h2 id="favourites-title">Favourites</h2>
        {favourites.value.length ? (
          <ul class="thumbnails">
            {favourites.value.map((favourite) => (
              <FavouriteItem key={JSON.stringify(favourite)} favourite={favourite} />
            ))}
          </ul>
        ) : (
          <p class="hint">Images that you star are kept here, in this browser.</p>
        )}
      </section>
      <section aria-labelledby="visits-title">
        <div class="row collection-head">
          <h2 id="visits-title">History</h2>
          {visits.value.length > 0 && (
            <button type="button" class="plain small" onClick={clearVisits}>
              Clear
            </button>
          )}
        </div>
        {visits.value.length ? (
          <ul class="thumbnails">
            {visits.value.map(({ href, picture, title }) => (
              <li key={href}>
                <a href={href} title={title}>
                  <img class="picture" src={picture} alt={title} loading="lazy" width="72" height="72" />
                </a>
              </li>
            ))}
          </ul>
        ) : (
          <p class="hint">What you have looked at is kept here, in this browser.</p>
        )}
      </section>
    </div>
  );
}

function FavouriteItem({ favourite }: { favourite: Favourite }) {
  const seed = parseSeed(favourite.seed) ?? 0n;
  const favouriteState: PlayState = {
    ...DEFAULTS,
    model: favourite.model,
    class: favourite.class,
    psi: favourite.psi,
    seed,
  };
  const href = formatUrl("/play", formatState({ ...favouriteState, view: "variations" }));
  const name = `${favourite.model}, seed ${favourite.seed}`;
  return (
    <li>
      <a href={href} title={`${name}: variations`}>
        <img
          class="picture"
          src={requestUrl(imageRequest(favouriteState, favourite.model, seed))}
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
