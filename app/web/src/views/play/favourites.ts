// Favourites and recently visited states of Play, kept in this browser.

import { effect, signal } from "@preact/signals";
import { storedValue } from "../../storage.ts";

export interface Favourite {
  /** NAME@VERSION: an alias could come to mean another image. */
  model: string;
  seed: string;
  class: string;
  psi: number;
}

export interface Visit {
  href: string;
  /** URL of one image that represents the state. */
  picture: string;
  title: string;
}

const MAX_FAVOURITES = 200;
const MAX_VISITS = 30;

const storedFavourites = storedValue<Favourite[]>("favourites", [], isFavourites);
const storedVisits = storedValue<Visit[]>("visits", [], isVisits);
export const favourites = signal(storedFavourites.read());
export const visits = signal(storedVisits.read());
effect(() => storedFavourites.write(favourites.value));
effect(() => storedVisits.write(visits.value));
// Take over changes from other tabs; otherwise the next write here would undo them.
globalThis.addEventListener?.("storage", () => {
  favourites.value = storedFavourites.read();
  visits.value = storedVisits.read();
});

export function isFavourite(item: Favourite): boolean {
  return favourites.value.some((known) => isSame(known, item));
}

/** Add a favourite, or remove it if it is one. */
export function toggleFavourite(item: Favourite): void {
  const others = favourites.value.filter((known) => !isSame(known, item));
  const wasFavourite = others.length < favourites.value.length;
  favourites.value = wasFavourite ? others : [item, ...others].slice(0, MAX_FAVOURITES);
}

/** Record a visit; a repeated one moves to the front. */
export function recordVisit(visit: Visit): void {
  if (visits.value[0]?.href === visit.href) return;
  visits.value = [visit, ...visits.value.filter(({ href }) => href !== visit.href)].slice(0, MAX_VISITS);
}

export function clearVisits(): void {
  visits.value = [];
}

function isSame(a: Favourite, b: Favourite): boolean {
  return a.model === b.model && a.seed === b.seed && a.class === b.class && a.psi === b.psi;
}

function isFavourites(value: unknown): value is Favourite[] {
  return allHave(value, { model: "string", seed: "string", class: "string", psi: "number" });
}

// Stored text must not turn into a link to another site or to a script.
function isVisits(value: unknown): value is Visit[] {
  return (
    allHave(value, { href: "string", picture: "string", title: "string" }) &&
    (value as Visit[]).every(({ href, picture }) => /^\/play(\?|$)/.test(href) && /^\/\w/.test(picture))
  );
}

function allHave(value: unknown, fields: Record<string, string>): boolean {
  const hasFields = (item: unknown) =>
    typeof item === "object" &&
    item !== null &&
    Object.entries(fields).every(([name, type]) => typeof (item as Record<string, unknown>)[name] === type);
  return Array.isArray(value) && value.every(hasFields);
}
