// The runs: loaded on first use, then kept current by the event stream.

import { computed, signal } from "@preact/signals";
import { ApiError, call } from "../api/client.ts";
import type { Run } from "../api/types.ts";
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
    if (data.preset === undefined) return;
    list.invalidate();
    const run = data as unknown as Run;
    stateEvents.set(run.id, (stateEvents.get(run.id) ?? 0) + 1);
    putRuns([run]);
  });
  on("tick", ({ run, ...tick }) =>
    patchRun(run, ({ health }) => ({
      progress: pick(tick, PROGRESS_FIELDS),
      latest: pick(tick, LATEST_FIELDS),
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

const PROGRESS_FIELDS = ["kimg", "total_kimg", "epoch", "fraction", "images_per_second", "eta_seconds"] as const;
const LATEST_FIELDS = ["loss_d", "loss_d_real", "loss_d_fake", "loss_g", "d_real", "d_fake"] as const;

function pick<T, K extends keyof T>(values: T, names: readonly K[]): Pick<T, K> {
  return Object.fromEntries(names.map((name) => [name, values[name]])) as Pick<T, K>;
}

/** Whether an error means that the requested thing does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
