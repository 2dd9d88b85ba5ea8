// The runs: loaded on first use, then kept current by the event stream.

import { computed, signal } from "@preact/signals";
import { ApiError, call } from "../api/client.ts";
import type { Run, Tick } from "../api/types.ts";
import { on, onReconnect } from "../events.ts";
import { createRefresher } from "./refresher.ts";

const PAGE_SIZE = 50;

const runsById = signal<ReadonlyMap<string, Run>>(new Map());
// How many state events have arrived for each run.
const stateEvents = new Map<string, number>();

/** Newest first: ids sort by time. */
export const runs = computed(() => [...runsById.value.values()].sort((a, b) => (a.id < b.id ? 1 : -1)));
/** Cursor of the next page of older runs; null after the last page, undefined until the first one is loaded. */
export const nextCursor = signal<string | null | undefined>(undefined);
export const runsError = signal<unknown>(null);

let tracking = false;

/** Load the newest runs and follow their events; further calls do nothing. */
export function trackRuns(): void {
  if (tracking) return;
  tracking = true;
  on("state", (data) => {
    // Events that a worker wrote carry only the state; the service sends the whole run as well.
    if (!("preset" in data)) return;
    list.invalidate();
    stateEvents.set(data.id, (stateEvents.get(data.id) ?? 0) + 1);
    putRuns([data]);
  });
  on("tick", ({ run, ...tick }) =>
    patchRun(run, ({ health }) => ({
      progress: progressOf(tick),
      latest: latestOf(tick),
      health: { ...health, sentence: tick.sentence ?? null },
    })),
  );
  on("health", ({ run, verdict, reasons }) =>
    patchRun(run, ({ health }) => ({ health: { ...health, verdict, reasons } })),
  );
  on("score", ({ run, scores }) => patchRun(run, () => ({ scores })));
  on("published", ({ run, model, version }) =>
    patchRun(run, ({ published }) => ({ published: [...new Set([...published, `${model}@${version}`])] })),
  );
  onReconnect(() => void list.refresh());
  void list.refresh();
}

const list = createRefresher(
  async () => {
    const page = await call("GET /train", { query: { limit: PAGE_SIZE } });
    // Older runs that were shown as active may have ended while the stream was closed.
    const stale = runs.value.filter(
      (run) => run.ended_at === null && !page.items.some((listed) => listed.id === run.id),
    );
    await Promise.all(stale.map(({ id }) => fetchRun(id)));
    return page;
  },
  ({ items, next }) => {
    putRuns(items);
    if (nextCursor.value === undefined) nextCursor.value = next;
    runsError.value = null;
  },
  (error) => {
    runsError.value = error;
  },
);

/** Load the next page of older runs. */
export async function loadOlderRuns(): Promise<void> {
  const page = await call("GET /train", { query: { limit: PAGE_SIZE, cursor: nextCursor.value ?? null } });
  putRuns(page.items);
  nextCursor.value = page.next;
}

/** Return a run that is loaded, whether the list contains it or not. */
export function findRun(id: string): Run | undefined {
  return runsById.value.get(id);
}

export function fetchRun(id: string): Promise<Run> {
  return applyResponse(call("GET /train/{run_id}", { path: { run_id: id } }), id);
}

/**
 * Store the run that the service returns, unless a state event for it arrives first: the response may be older than the
 * event, and any change after the response is followed by an event too. A run that is being created has no `id` yet.
 */
export async function applyResponse(response: Promise<Run>, id = ""): Promise<Run> {
  const before = stateEvents.get(id);
  const run = await response;
  if (stateEvents.get(run.id) === before) putRuns([run]);
  return run;
}

function putRuns(items: Run[]): void {
  runsById.value = new Map([...runsById.value, ...items.map((run) => [run.id, run] as const)]);
}

function patchRun(id: string, changes: (run: Run) => Partial<Run>): void {
  const run = runsById.value.get(id);
  if (run) putRuns([{ ...run, ...changes(run) }]);
}

// Workers of earlier versions write fewer fields.
function progressOf(tick: Tick): Run["progress"] {
  return {
    kimg: tick.kimg,
    total_kimg: tick.total_kimg ?? null,
    epoch: tick.epoch ?? 0,
    fraction: tick.fraction ?? 0,
    images_per_second: tick.images_per_second ?? null,
    eta_seconds: tick.eta_seconds ?? null,
  };
}

function latestOf(tick: Tick): Run["latest"] {
  return {
    loss_d: tick.loss_d ?? null,
    loss_d_real: tick.loss_d_real ?? null,
    loss_d_fake: tick.loss_d_fake ?? null,
    loss_g: tick.loss_g ?? null,
    d_real: tick.d_real ?? null,
    d_fake: tick.d_fake ?? null,
  };
}

/** Whether an error means that the requested thing does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
