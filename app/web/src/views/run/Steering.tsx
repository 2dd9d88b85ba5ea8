// Pause, resume, cancel; and go on beyond the length that was asked for.

import { useSignal } from "@preact/signals";
import { call, words } from "../../api/client.ts";
import type { Run } from "../../api/types.ts";
import { round } from "../../figures.ts";
import { attempt } from "../../notices.tsx";
import { takeOver } from "../../stores/runs.ts";
import { Confirm } from "../../ui/Confirm.tsx";
import { Dialog } from "../../ui/Dialog.tsx";

export function Steering({ run }: { run: Run }) {
  const asked = useSignal<"cancel" | "longer" | null>(null);
  const close = () => (asked.value = null);
  const path = { run_id: run.id };
  const isOn = run.state === "running" || run.state === "queued";
  const canResume = run.state === "paused" || run.state === "failed" || run.state === "cancelled";
  return (
    <div class="row">
      {isOn && run.wanted === null && (
        <button type="button" onClick={() => steer(run.id, () => call("POST /train/{run_id}/pause", { path }))}>
          Pause
        </button>
      )}
      {canResume && (
        <button
          type="button"
          class="primary"
          onClick={() => steer(run.id, () => call("POST /train/{run_id}/resume", { path }))}
        >
          Resume
        </button>
      )}
      {(canResume || run.state === "succeeded") && (
        <button type="button" onClick={() => (asked.value = "longer")}>
          Train longer…
        </button>
      )}
      {(isOn || run.state === "paused") && run.wanted !== "cancelled" && (
        <button type="button" class="danger" onClick={() => (asked.value = "cancel")}>
          Cancel…
        </button>
      )}
      {asked.value === "longer" && <Longer run={run} onClose={close} />}
      {asked.value === "cancel" && (
        <Confirm
          title="Cancel this run?"
          action="Cancel the run"
          onConfirm={async () => void (await takeOver(call("POST /train/{run_id}/cancel", { path }), run.id))}
          onClose={close}
        >
          <p>It ends before its length. Its checkpoints and versions stay: it can be resumed.</p>
        </Confirm>
      )}
    </div>
  );
}

function steer(id: string, act: () => Promise<Run>): Promise<void> {
  return attempt(async () => void (await takeOver(act(), id)));
}

function Longer({ run, onClose }: { run: Run; onClose: () => void }) {
  const total = run.progress.total_kimg ?? run.progress.kimg;
  const kimg = useSignal(String(Math.ceil(2 * total * 10) / 10));
  const error = useSignal("");

  async function go(event: Event) {
    event.preventDefault();
    try {
      const body = { kimg: Number(kimg.value) };
      await takeOver(call("POST /train/{run_id}/resume", { path: { run_id: run.id }, body }), run.id);
      onClose();
    } catch (refused) {
      error.value = words(refused);
    }
  }

  return (
    <Dialog title="Train longer" onClose={onClose}>
      <form class="settle" onSubmit={go}>
        <p>
          It is at {round(run.progress.kimg)} of {round(total)} kimg, thousands of real images shown to the
          discriminator.
        </p>
        <label class="field">
          New length in kimg
          <input
            type="number"
            required
            step="any"
            min={run.progress.kimg}
            value={kimg.value}
            onInput={(event) => (kimg.value = event.currentTarget.value)}
          />
        </label>
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
        <button type="submit" class="primary">
          Go on
        </button>
      </form>
    </Dialog>
  );
}
