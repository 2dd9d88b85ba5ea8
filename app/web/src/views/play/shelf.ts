// What is kept of playing, in this browser: favourites, until they are removed; and where one has been lately.

import { effect, signal } from "@preact/signals";
import { stored } from "../../stored.ts";

export interface Favourite {
  /** A pinned version: a favourite stays the same picture. */
  model: string;
  seed: string;
  class: string;
  psi: number;
}

export interface Visit {
  href: string;
  /** One image that stands for it. */
  picture: string;
  title: string;
}

const MOST_FAVOURITES = 200;
const MOST_VISITS = 30;

const kept = stored<Favourite[]>("favourites", [], isFavourites);
const lately = stored<Visit[]>("visits", [], isVisits);
export const favourites = signal(kept.read());
export const visits = signal(lately.read());
effect(() => kept.write(favourites.value));
effect(() => lately.write(visits.value));
// What is starred in another tab is kept here too, instead of being written over.
globalThis.addEventListener?.("storage", () => {
  favourites.value = kept.read();
  visits.value = lately.read();
});

export function isFavourite(one: Favourite): boolean {
  return favourites.value.some((known) => same(known, one));
}

/** Keep a favourite, or keep it no more. */
export function toggleFavourite(one: Favourite): void {
  const others = favourites.value.filter((known) => !same(known, one));
  favourites.value = others.length < favourites.value.length ? others : [one, ...others].slice(0, MOST_FAVOURITES);
}

/** Note where one is; who comes back to a place moves it to the front. */
export function visit(place: Visit): void {
  if (visits.value[0]?.href === place.href) return;
  visits.value = [place, ...visits.value.filter(({ href }) => href !== place.href)].slice(0, MOST_VISITS);
}

export function forgetVisits(): void {
  visits.value = [];
}

function same(a: Favourite, b: Favourite): boolean {
  return a.model === b.model && a.seed === b.seed && a.class === b.class && a.psi === b.psi;
}

function isFavourites(value: unknown): value is Favourite[] {
  return allHave(value, { model: "string", seed: "string", class: "string", psi: "number" });
}

// An address of elsewhere must not come out of storage as a link.
function isVisits(value: unknown): value is Visit[] {
  return (
    allHave(value, { href: "string", picture: "string", title: "string" }) &&
    (value as Visit[]).every(({ href, picture }) => /^\/play(\?|$)/.test(href) && /^\/\w/.test(picture))
  );
}

function allHave(value: unknown, fields: Record<string, string>): boolean {
  const fits = (item: unknown) =>
    typeof item === "object" &&
    item !== null &&
    Object.entries(fields).every(([name, type]) => typeof (item as Record<string, unknown>)[name] === type);
  return Array.isArray(value) && value.every(fits);
}
