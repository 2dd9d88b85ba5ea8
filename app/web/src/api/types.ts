// Short names for the API's types, and the data of each type of event.

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

export type Tick = Schemas["Tick"];

/** An event that a run's worker wrote: its data with the run's id and the time. */
type RunEvent<Type extends keyof Schemas["RunEvents"]> = Schemas["RunEvents"][Type] & { run: string; time: string };

export interface Events extends Omit<{ [Type in keyof Schemas["RunEvents"]]: RunEvent<Type> }, "state"> {
  /** The service adds the whole run, as `GET /train/ID` returns it, to the changes that a worker wrote. */
  state: RunEvent<"state"> | ({ run: string } & Run);
  model: { model: string; versions: Record<string, Version["state"]>; aliases: Record<string, number> };
  dataset: { dataset: string } & (Dataset | { state: "deleted" });
}
