// What a run has told so far: its ticks and snapshots, read once and then kept up by events while it is looked at.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { all, call, words } from "../../api/client.ts";
import { reading } from "../../api/reading.ts";
import type { Snapshot, Tick } from "../../api/types.ts";
import { on, onReturn } from "../../events.ts";

export interface History {
  /** Oldest first; null until they are known. */
  ticks: Signal<Tick[] | null>;
  /** Oldest first; null until they are known. */
  snapshots: Signal<Snapshot[] | null>;
  error: Signal<string>;
}

/** Give a run's history. */
export function useHistory(run: string): History {
  const ticks = useSignal<Tick[] | null>(null);
  const snapshots = useSignal<Snapshot[] | null>(null);
  const error = useSignal("");

  useEffect(() => {
    const path = { run_id: run };
    const fail = (refused: unknown) => {
      error.value = words(refused);
    };
    const ofTicks = reading(
      () => call("GET /train/{run_id}/ticks", { path }),
      ({ items }) => {
        ticks.value = items as unknown as Tick[];
        error.value = "";
      },
      fail,
    );
    const ofSnapshots = reading(
      () => all("GET /train/{run_id}/snapshots", { path }),
      (items) => {
        snapshots.value = items;
      },
      fail,
    );
    const readAll = () => void Promise.all([ofTicks.now(), ofSnapshots.now()]);
    const readIfMine = (data: { run: string }) => void (data.run === run && ofSnapshots.now());
    const stop = [
      on("tick", ({ run: of, time: _, ...tick }) => {
        if (of !== run) return;
        ofTicks.heard();
        if (ticks.value) ticks.value = [...before(ticks.value, tick.kimg), tick];
      }),
      on("snapshot", readIfMine),
      on("score", readIfMine),
      // Another attempt may have gone back: what came after its checkpoint never happened.
      on("state", (data) => void (data.run === run && data.preset !== undefined && readAll())),
      onReturn(readAll),
    ];
    readAll();
    return () => {
      for (const each of stop) each();
    };
  }, [run, ticks, snapshots, error]);

  return { ticks, snapshots, error };
}

function before(ticks: Tick[], kimg: number): Tick[] {
  const last = ticks.at(-1);
  return last && last.kimg >= kimg ? ticks.filter((tick) => tick.kimg < kimg) : ticks;
}
