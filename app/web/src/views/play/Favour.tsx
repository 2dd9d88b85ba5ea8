// The star that keeps an image among the favourites.

import { play, ref } from "./now.ts";
import { type Favourite, isFavourite, toggleFavourite } from "./shelf.ts";

export function Favour({ seed }: { seed: bigint }) {
  const { psi, class: label } = play.value;
  const one: Favourite = { model: ref.value, seed: String(seed), class: label, psi };
  const kept = isFavourite(one);
  return (
    <button type="button" class="small" aria-pressed={kept} onClick={() => toggleFavourite(one)}>
      <span aria-hidden="true">{kept ? "★" : "☆"}</span> Favourite
    </button>
  );
}
