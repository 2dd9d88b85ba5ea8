// The API's words under short names, and what its event stream carries: events are not in the schema.

import type { Schemas } from "./schema";

export type Model = Schemas["ModelView"];
export type Version = Schemas["VersionView"];
export type Manifest = Schemas["Manifest"];
export type Score = Schemas["Score"];
export type Run = Schemas["RunView"];
export type Preset = Schemas["Preset"];
export type Dataset = Schemas["DatasetView"];
export type DatasetDetail = Schemas["DatasetDetail"];
export type Finding = Schemas["Finding"];
export type Snapshot = Schemas["SnapshotView"];
export type Session = Schemas["SessionView"];
export type KeyScope = "sample" | "train" | "admin";

/** What a run reports while it trains: progress and the latest figures, side by side. */
export type Tick = Schemas["Progress"] & Schemas["Latest"] & { sentence?: string };

export interface Events {
  /** A run as `GET /train/ID` tells it, or the few words that its worker wrote: then without `preset`. */
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
