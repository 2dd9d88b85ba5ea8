// Short names for the API's types, and the payloads of its event stream, which the schema does not describe.

import type { Schemas } from "./schema";

export type Model = Schemas["ModelView"];
export type Version = Schemas["VersionView"];
export type Manifest = Schemas["ManifestView"];
export type Score = Schemas["Score"];
export type Run = Schemas["RunView"];
export type Preset = Schemas["Preset"];
export type Dataset = Schemas["DatasetView"];
export type DatasetDetail = Schemas["DatasetDetail"];
export type Finding = Schemas["Finding"];
export type Snapshot = Schemas["SnapshotView"];
export type Session = Schemas["SessionView"];
export type KeyScope = "sample" | "train" | "admin";

/** One progress report of a run: progress and the latest losses in one object. */
export type Tick = Schemas["Progress"] & Schemas["Latest"] & { sentence?: string };

export interface Events {
  /** The run as `GET /train/ID` returns it, or only what its worker wrote: then `preset` is missing. */
  state: { run: string } & Partial<Run>;
  tick: { run: string; time: string } & Tick;
  snapshot: { run: string; time: string; kimg: number };
  score: { run: string; time: string; kimg: number; scores: Record<string, Score> };
  health: { run: string; time: string; verdict: string; reasons: string[] };
  published: { run: string; time: string; model: string; version: number; kimg: number };
  log: { run: string; time: string } & Record<string, unknown>;
  model: { model: string; versions: Record<string, Version["state"]>; aliases: Record<string, number> };
  dataset: { dataset: string } & (Dataset | { state: "deleted" });
}
