// Sample requests of the Play view: an operation with its query, as a URL and as a file name.

import { buildUrl } from "../../api/client.ts";
import type { Operations } from "../../api/schema";
import type { PlayState } from "./query.ts";

type SampleOperation = "GET /samples" | "GET /grid" | "GET /walk";
type Query<O extends SampleOperation> = Operations[O]["query"];

/** A request for images or a video; its format is chosen when it is exported. */
export interface SampleRequest {
  operation: SampleOperation;
  query: Record<string, string | number>;
}

export const IMAGE_FORMATS = ["png", "webp", "jpeg", "npy", "zip"] as const satisfies Query<"GET /samples">["format"][];
export const VIDEO_FORMATS = ["webp", "gif", "mp4"] as const satisfies Query<"GET /walk">["format"][];
/** Formats with a single picture, which can be enlarged; the others hold every image at its own size. */
const PICTURE_FORMATS: readonly string[] = ["png", "webp", "jpeg", "gif", "mp4"];

/** Images shown of each variation, the original included. */
export const VARIATION_STEPS = 6;

/** The first image of a seed. */
export function imageRequest(state: PlayState, ref: string, seed: bigint): SampleRequest {
  return sampleRequest("GET /samples", { ...commonQuery(state, ref), n: 1, seed: String(seed) });
}

/** Many images of one seed. */
export function gridRequest(state: PlayState, ref: string): SampleRequest {
  return sampleRequest("GET /samples", { ...commonQuery(state, ref), n: state.n, seed: String(state.seed) });
}

/** An interpolation to another seed, of which the first columns are shown: the shorter the reach, the finer its steps. */
export function interpolationRequest(state: PlayState, ref: string, target: bigint): SampleRequest {
  const cols = Math.round((VARIATION_STEPS - 1) / state.reach) + 1;
  const seeds = `${state.seed},${target}`;
  return sampleRequest("GET /grid", { kind: "interpolate", ...commonQuery(state, ref), seeds, cols });
}

/** The video of the walk; null with fewer than two stops. */
export function walkRequest(state: PlayState, ref: string): SampleRequest | null {
  const { stops, fps } = state;
  if (stops.length < 2) return null;
  // The service requires at least one frame for each stop.
  const frames = Math.max(state.frames, stops.length);
  return sampleRequest("GET /walk", { ...commonQuery(state, ref), seeds: stops.join(","), frames, fps });
}

/** The request that a view exports: the selected image or variation, else everything that is shown. */
export function exportRequest(state: PlayState, ref: string, target: bigint): SampleRequest | null {
  if (state.view === "walk") return walkRequest(state, ref);
  if (state.view === "variations") return interpolationRequest(state, ref, state.pick ?? target);
  if (state.view === "seeds") return imageRequest(state, ref, state.pick ?? state.seed);
  return gridRequest(state, ref);
}

export function exportFormats(request: SampleRequest): readonly string[] {
  return request.operation === "GET /walk" ? VIDEO_FORMATS : IMAGE_FORMATS;
}

/** The URL of a request, in a format, and enlarged where the format is a picture. */
export function requestUrl(request: SampleRequest, format?: string, scale?: number): string {
  const isEnlarged = scale !== undefined && scale > 1 && (format === undefined || PICTURE_FORMATS.includes(format));
  const query = { ...request.query, ...(isEnlarged ? { scale } : {}), ...(format ? { format } : {}) };
  return buildUrl(request.operation, { query } as never);
}

/** A file name that describes the content, such as `digits-3-walk-seeds-1-2.webp`. */
export function fileName(request: SampleRequest, format: string): string {
  const { model = "atelier", seed, seeds, n, kind } = request.query;
  const source = seeds === undefined ? `seed-${seed}` : `seeds-${String(seeds).replaceAll(",", "-")}`.slice(0, 60);
  const layout = request.operation === "GET /walk" ? "walk" : (kind ?? (n === 1 ? "" : `${n}`));
  const stem = [String(model).replace("@", "-"), layout, source].filter(Boolean).join("-");
  return `${stem}.${format === "jpeg" ? "jpg" : format}`;
}

function commonQuery(state: PlayState, ref: string): Pick<Query<"GET /samples">, "model" | "class" | "psi"> {
  return {
    ...(ref ? { model: ref } : {}),
    ...(state.class ? { class: state.class } : {}),
    ...(state.psi === 1 ? {} : { psi: state.psi }),
  };
}

function sampleRequest<O extends SampleOperation>(
  operation: O,
  query: O extends "GET /grid" ? object : Query<O>,
): SampleRequest {
  return { operation, query: query as SampleRequest["query"] };
}
