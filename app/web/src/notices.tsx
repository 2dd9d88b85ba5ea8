// Messages at the bottom of the page: completed actions, some with an undo, and errors.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { errorMessage } from "./api/client.ts";

interface Notice {
  id: number;
  text: string;
  tone: "done" | "error";
  undo?: () => Promise<unknown>;
}

const SHOWN_MILLISECONDS = 10_000;
const MAX_NOTICES = 4;
const notices = signal<Notice[]>([]);
let lastId = 0;

/** Report a completed action; `undo` reverts it. */
export function notify(text: string, undo?: () => Promise<unknown>): void {
  show({ text, tone: "done", ...(undo ? { undo } : {}) });
}

/** Report an error; it stays until it is dismissed. */
export function warn(error: unknown): void {
  show({ text: errorMessage(error), tone: "error" });
}

/** Run an action and report its error, if any. */
export async function attempt(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    warn(error);
  }
}

function show(notice: Omit<Notice, "id">): void {
  const others = notices.value.filter((known) => known.text !== notice.text);
  notices.value = [...others.slice(1 - MAX_NOTICES), { ...notice, id: ++lastId }];
}

function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function Notices() {
  return (
    <section class="notices" aria-label="Messages" aria-live="polite">
      {notices.value.map((notice) => (
        <Message key={notice.id} notice={notice} />
      ))}
    </section>
  );
}

function Message({ notice }: { notice: Notice }) {
  const { id, text, tone, undo } = notice;
  useEffect(() => {
    if (tone === "error") return;
    const timer = setTimeout(() => dismiss(id), SHOWN_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [id, tone]);
  return (
    <div class="notice" data-tone={tone} role={tone === "error" ? "alert" : undefined}>
      <p>{text}</p>
      {undo && (
        <button
          type="button"
          class="plain"
          onClick={() => {
            dismiss(id);
            void attempt(undo);
          }}
        >
          Undo
        </button>
      )}
      <button type="button" class="plain" aria-label="Dismiss" onClick={() => dismiss(id)}>
        ✕
      </button>
    </div>
  );
}
