// Log of a run: the last lines, updated by events.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { buildUrl, errorMessage, fetchOk } from "../../api/client.ts";
import type { Run } from "../../api/types.ts";
import { on, onReconnect } from "../../events.ts";
import { createRefresher } from "../../stores/refresher.ts";

const MAX_LINES = 500;

export function Log({ run: { id } }: { run: Run }) {
  const open = useSignal(false);
  return (
    <details class="log" onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>Log</summary>
      {open.value && <Lines id={id} />}
    </details>
  );
}

function Lines({ id }: { id: string }) {
  const text = useSignal<string | null>(null);
  const follow = useSignal(true);
  const output = useRef<HTMLPreElement>(null);

  useEffect(() => {
    const path = buildUrl("GET /train/{run_id}/log", { path: { run_id: id }, query: { tail: MAX_LINES } });
    const refresher = createRefresher(
      async () => (await fetchOk(path)).text(),
      (lines) => {
        text.value = lines;
      },
      (error) => {
        text.value = errorMessage(error);
      },
    );
    const refreshIfOwn = (data: { run: string }) => void (data.run === id && refresher.refresh());
    const unsubscribe = [
      on("log", refreshIfOwn),
      on("published", refreshIfOwn),
      on("state", refreshIfOwn),
      onReconnect(() => void refresher.refresh()),
    ];
    void refresher.refresh();
    return () => {
      for (const each of unsubscribe) each();
    };
  }, [id, text]);

  useEffect(() => {
    if (follow.value && output.current) output.current.scrollTop = output.current.scrollHeight;
  }, [text.value, follow.value, follow]);

  return (
    <>
      <div class="row">
        <label class="check">
          <input
            type="checkbox"
            checked={follow.value}
            onChange={(event) => (follow.value = event.currentTarget.checked)}
          />
          Follow
        </label>
        <a href={buildUrl("GET /train/{run_id}/log", { path: { run_id: id }, query: {} })} download={`${id}.log`}>
          Download the whole log
        </a>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard. */}
      <pre ref={output} tabIndex={0} role="log" aria-live="off" aria-label="Log of the run">
        {text.value ?? "Loading…"}
      </pre>
    </>
  );
}
