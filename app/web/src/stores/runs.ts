// The runs, as the service lists them; kept up to date by the event stream once somebody has asked for them.

import { computed, signal } from "@preact/signals";
import { call, Refused } from "../api/client.ts";
import { reading } from "../api/reading.ts";
import type { Run } from "../api/types.ts";
import { on, onReturn } from "../events.ts";

const PAGE = 50;
const ENDED: Run["state"][] = ["succeeded", "failed", "cancelled"];

const known = signal<ReadonlyMap<string, Run>>(new Map());
// How often the stream has told the state of a run.
const told = new Map<string, number>();

/** Newest first: ids sort by time. */
export const runs = computed(() => [...known.value.values()].sort((a, b) => (a.id < b.id ? 1 : -1)));
/** Where the list goes on; null at its end, undefined until it is known. */
export const older = signal<string | null | undefined>(undefined);
export const runsError = signal<unknown>(null);

let asked = false;

/** Load the newest runs, and keep them; calling it again costs nothing. */
export function keepRuns(): void {
  if (asked) return;
  asked = true;
  on("state", (data) => {
    if (data.preset === undefined) return;
    list.heard();
    const run = data as unknown as Run;
    told.set(run.id, (told.get(run.id) ?? 0) + 1);
    putRun(run);
  });
  on("tick", ({ run, ...tick }) =>
    change(run, ({ health }) => ({
      progress: pick(tick, PROGRESS),
      latest: pick(tick, LATEST),
      health: { ...health, sentence: tick.sentence ?? null },
    })),
  );
  on("health", ({ run, verdict, reasons }) =>
    change(run, ({ health }) => ({ health: { ...health, verdict, reasons } })),
  );
  on("score", ({ run, scores }) => change(run, () => ({ scores })));
  on("published", ({ run, model, version }) =>
    change(run, ({ published }) => ({ published: [...new Set([...published, `${model}@${version}`])] })),
  );
  onReturn(() => void list.now());
  void list.now();
}

const list = reading(
  async () => {
    const page = await call("GET /train", { query: { limit: PAGE } });
    // What was shown as going on may have ended beyond the newest page.
    const beyond = runs.value.filter(
      ({ id, state }) => !ENDED.includes(state) && !page.items.some((run) => run.id === id),
    );
    await Promise.all(beyond.map(({ id }) => readRun(id)));
    return page;
  },
  ({ items, next }) => {
    putAll(items);
    if (older.value === undefined) older.value = next;
    runsError.value = null;
  },
  (error) => {
    runsError.value = error;
  },
);

/** Load the next page of older runs. */
export async function loadOlder(): Promise<void> {
  const page = await call("GET /train", { query: { limit: PAGE, cursor: older.value ?? null } });
  putAll(page.items);
  older.value = page.next;
}

/** Give a run that the list need not have loaded; undefined where there is none (yet). */
export function runOf(id: string): Run | undefined {
  return known.value.get(id);
}

/** Read a run anew. */
export function readRun(id: string): Promise<Run> {
  return takeOver(call("GET /train/{run_id}", { path: { run_id: id } }), id);
}

/**
 * Take over what the service answers about a run, unless the stream tells of it first: an answer may be older than that
 * when it arrives, and whatever has changed since the answer is told by the stream too. Of a new run there is no `id`.
 */
export async function takeOver(answer: Promise<Run>, id = ""): Promise<Run> {
  const before = told.get(id);
  const run = await answer;
  if (told.get(run.id) === before) putRun(run);
  return run;
}

function putRun(run: Run): void {
  putAll([run]);
}

function putAll(items: Run[]): void {
  known.value = new Map([...known.value, ...items.map((run) => [run.id, run] as const)]);
}

function change(id: string, changed: (run: Run) => Partial<Run>): void {
  const run = known.value.get(id);
  if (run) putRun({ ...run, ...changed(run) });
}

const PROGRESS = ["kimg", "total_kimg", "epoch", "fraction", "images_per_second", "eta_seconds"] as const;
const LATEST = ["loss_d", "loss_d_real", "loss_d_fake", "loss_g", "d_real", "d_fake"] as const;

function pick<T, K extends keyof T>(values: T, names: readonly K[]): Pick<T, K> {
  return Object.fromEntries(names.map((name) => [name, values[name]])) as Pick<T, K>;
}

export function hasEnded(run: Run): boolean {
  return ENDED.includes(run.state);
}

/** Whether an error says that there is no such run. */
export function isUnknown(error: unknown): boolean {
  return error instanceof Refused && error.status === 404;
}
