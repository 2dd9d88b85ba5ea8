// A run's ticks and snapshots: loaded once, then kept current by events while the run is shown.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, errorMessage, listAll } from "../../api/client.ts";
import type { Snapshot, Tick } from "../../api/types.ts";
import { on, onReconnect } from "../../events.ts";
import { createRefresher } from "../../stores/refresher.ts";

export interface RunHistory {
  /** Oldest first; null until they are loaded. */
  ticks: Signal<Tick[] | null>;
  /** Oldest first; null until they are loaded. */
  snapshots: Signal<Snapshot[] | null>;
  error: Signal<string>;
}

export function useHistory(run: string): RunHistory {
  const ticks = useSignal<Tick[] | null>(null);
  const snapshots = useSignal<Snapshot[] | null>(null);
  const error = useSignal("");

  useEffect(() => {
    const path = { run_id: run };
    const onError = (failure: unknown) => {
      error.value = errorMessage(failure);
    };
    const tickRefresher = createRefresher(
      () => call("GET /train/{run_id}/ticks", { path }),
      ({ items }) => {
        ticks.value = items;
        error.value = "";
      },
      onError,
    );
    const snapshotRefresher = createRefresher(
      () => listAll("GET /train/{run_id}/snapshots", { path }),
      (items) => {
        snapshots.value = items;
      },
      onError,
    );
    const refreshAll = () => void Promise.all([tickRefresher.refresh(), snapshotRefresher.refresh()]);
    const refreshSnapshots = (data: { run: string }) => void (data.run === run && snapshotRefresher.refresh());
    const unsubscribe = [
      on("tick", ({ run: tickRun, time: _, ...tick }) => {
        if (tickRun !== run) return;
        tickRefresher.invalidate();
        if (ticks.value) ticks.value = [...ticksBefore(ticks.value, tick.kimg), tick];
      }),
      on("snapshot", refreshSnapshots),
      on("score", refreshSnapshots),
      // A new attempt continues from a checkpoint: ticks and snapshots after it are no longer part of the run.
      on("state", (data) => void (data.run === run && "preset" in data && refreshAll())),
      onReconnect(refreshAll),
    ];
    refreshAll();
    return () => {
      for (const each of unsubscribe) each();
    };
  }, [run, ticks, snapshots, error]);

  return { ticks, snapshots, error };
}

function ticksBefore(ticks: Tick[], kimg: number): Tick[] {
  const last = ticks.at(-1);
  return last && last.kimg >= kimg ? ticks.filter((tick) => tick.kimg < kimg) : ticks;
}
