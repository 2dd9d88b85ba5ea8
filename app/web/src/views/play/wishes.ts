// What Play asks the service for: an operation and its parameters; as an address, as a file name, as code.

import { address } from "../../api/client.ts";
import type { Operations } from "../../api/schema";
import { type Play, seedsFrom } from "./state.ts";

type Painting = "GET /samples" | "GET /grid" | "GET /walk";
type Query<O extends Painting> = Operations[O]["query"];

/** One request for pictures; its format is chosen when it is downloaded. */
export interface Wish {
  operation: Painting;
  query: Record<string, string | number>;
}

export const IMAGE_FORMATS = ["png", "webp", "jpeg", "npy", "zip"] as const;
export const FILM_FORMATS = ["webp", "gif", "mp4"] as const;
/** One picture, that can be enlarged; the others hold every image as it was painted. */
const PICTURES: readonly string[] = ["png", "webp", "jpeg", "gif", "mp4"];

/** Cells of a variation that are shown, the image itself included. */
export const NEAR_SHOWN = 6;

/** The first image of a seed. */
export function one(play: Play, ref: string, seed: bigint): Wish {
  return wish("GET /samples", { ...common(play, ref), n: 1, seed: String(seed) });
}

/** The images of one seed. */
export function grid(play: Play, ref: string): Wish {
  return wish("GET /samples", { ...common(play, ref), n: play.n, seed: String(play.seed) });
}

/** The way from one seed to another, of which the beginning is shown: the shorter it reaches, the finer its steps. */
export function strip(play: Play, ref: string, towards: bigint): Wish {
  const cols = Math.round((NEAR_SHOWN - 1) / play.reach) + 1;
  return wish("GET /grid", { kind: "interpolate", ...common(play, ref), seeds: `${play.seed},${towards}`, cols });
}

/** The film of the walk; null while there are fewer than two stops. */
export function film(play: Play, ref: string): Wish | null {
  const { stops, frames, fps } = play;
  if (stops.length < 2) return null;
  const enough = Math.max(frames, stops.length);
  return wish("GET /walk", { ...common(play, ref), seeds: stops.join(","), frames: enough, fps });
}

/** What is downloaded of a view: what is looked at closely, or all that is shown. */
export function taken(play: Play, ref: string, towards: bigint): Wish | null {
  if (play.view === "walk") return film(play, ref);
  if (play.view === "near") return strip(play, ref, play.pick ?? towards);
  if (play.view === "seeds") return one(play, ref, play.pick ?? seedsFrom(play.seed, 1)[0] ?? 0n);
  return grid(play, ref);
}

export function formatsOf(wish: Wish): readonly string[] {
  return wish.operation === "GET /walk" ? FILM_FORMATS : IMAGE_FORMATS;
}

/** The address of a wish, in a format and enlarged where the format is a picture. */
export function addressOf(wish: Wish, format?: string, scale?: number): string {
  const enlarged = scale !== undefined && scale > 1 && (format === undefined || PICTURES.includes(format));
  const query = { ...wish.query, ...(enlarged ? { scale } : {}), ...(format ? { format } : {}) };
  return address(wish.operation, { query } as never);
}

/** A name that tells what is in the file. */
export function fileName(wish: Wish, format: string): string {
  const { model = "atelier", seed, seeds, n, kind } = wish.query;
  const what = seeds === undefined ? `seed-${seed}` : `seeds-${String(seeds).replaceAll(",", "-")}`.slice(0, 60);
  const how = wish.operation === "GET /walk" ? "walk" : (kind ?? (n === 1 ? "" : `${n}`));
  const stem = [String(model).replace("@", "-"), how, what].filter(Boolean).join("-");
  return `${stem}.${format === "jpeg" ? "jpg" : format}`;
}

function common(play: Play, ref: string): Pick<Query<"GET /samples">, "model" | "class" | "psi"> {
  return {
    ...(ref ? { model: ref } : {}),
    ...(play.class ? { class: play.class } : {}),
    ...(play.psi === 1 ? {} : { psi: play.psi }),
  };
}

function wish<O extends Painting>(operation: O, query: O extends "GET /grid" ? object : Query<O>): Wish {
  return { operation, query: query as Wish["query"] };
}
