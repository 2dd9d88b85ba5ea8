// Run controls: pause, resume, cancel, and training longer than first requested.

import { useSignal } from "@preact/signals";
import { call, errorMessage } from "../../api/client.ts";
import type { Run } from "../../api/types.ts";
import { round } from "../../format.ts";
import { attempt } from "../../notices.tsx";
import { applyResponse } from "../../stores/runs.ts";
import { Confirm, Dialog } from "../../ui/dialogs.tsx";

export function RunControls({ run }: { run: Run }) {
  const openDialog = useSignal<"cancel" | "longer" | null>(null);
  const close = () => (openDialog.value = null);
  const path = { run_id: run.id };
  const isActive = run.state === "running" || run.state === "queued";
  const canResume = run.state === "paused" || run.state === "failed" || run.state === "cancelled";
  return (
    <div class="row">
      {isActive && run.wanted === null && (
        <button type="button" onClick={() => control(run.id, () => call("POST /train/{run_id}/pause", { path }))}>
          Pause
        </button>
      )}
      {canResume && (
        <button
          type="button"
          class="primary"
          onClick={() => control(run.id, () => call("POST /train/{run_id}/resume", { path }))}
        >
          Resume
        </button>
      )}
      {(canResume || run.state === "succeeded") && (
        <button type="button" onClick={() => (openDialog.value = "longer")}>
          Train longer…
        </button>
      )}
      {(isActive || run.state === "paused") && run.wanted !== "cancelled" && (
        <button type="button" class="danger" onClick={() => (openDialog.value = "cancel")}>
          Cancel…
        </button>
      )}
      {openDialog.value === "longer" && <TrainLonger run={run} onClose={close} />}
      {openDialog.value === "cancel" && (
        <Confirm
          title="Cancel this run?"
          action="Cancel the run"
          onConfirm={async () => void (await applyResponse(call("POST /train/{run_id}/cancel", { path }), run.id))}
          onClose={close}
        >
          <p>The run stops. Its checkpoints and versions are kept, so it can be resumed.</p>
        </Confirm>
      )}
    </div>
  );
}

function control(id: string, request: () => Promise<Run>): Promise<void> {
  return attempt(async () => void (await applyResponse(request(), id)));
}

function TrainLonger({ run, onClose }: { run: Run; onClose: () => void }) {
  const total = run.progress.total_kimg ?? run.progress.kimg;
  const kimg = useSignal(String(Math.ceil(2 * total * 10) / 10));
  const error = useSignal("");

  async function submit(event: Event) {
    event.preventDefault();
    try {
      const body = { kimg: Number(kimg.value) };
      await applyResponse(call("POST /train/{run_id}/resume", { path: { run_id: run.id }, body }), run.id);
      onClose();
    } catch (failure) {
      error.value = errorMessage(failure);
    }
  }

  return (
    <Dialog title="Train longer" onClose={onClose}>
      <form class="form-stack" onSubmit={submit}>
        <p>
          The run is at {round(run.progress.kimg)} of {round(total)} kimg (thousands of real images shown to the
          discriminator).
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
          Continue training
        </button>
      </form>
    </Dialog>
  );
}
