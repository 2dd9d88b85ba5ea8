// What the training said: the last lines, and new ones as they come.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { address, ask, words } from "../../api/client.ts";
import { reading } from "../../api/reading.ts";
import type { Run } from "../../api/types.ts";
import { on, onReturn } from "../../events.ts";

const LINES = 500;

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
  const frame = useRef<HTMLPreElement>(null);

  useEffect(() => {
    const path = address("GET /train/{run_id}/log", { path: { run_id: id }, query: { tail: LINES } });
    const lines = reading(
      async () => (await ask(path)).text(),
      (told) => {
        text.value = told;
      },
      (error) => {
        text.value = words(error);
      },
    );
    const mine = (data: { run: string }) => void (data.run === id && lines.now());
    const stop = [on("log", mine), on("published", mine), on("state", mine), onReturn(() => void lines.now())];
    void lines.now();
    return () => {
      for (const each of stop) each();
    };
  }, [id, text]);

  useEffect(() => {
    if (follow.value && frame.current) frame.current.scrollTop = frame.current.scrollHeight;
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
        <a href={address("GET /train/{run_id}/log", { path: { run_id: id }, query: {} })} download={`${id}.log`}>
          Download it whole
        </a>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard. */}
      <pre ref={frame} tabIndex={0} role="log" aria-live="off" aria-label="Log of the run">
        {text.value ?? "Loading…"}
      </pre>
    </>
  );
}
