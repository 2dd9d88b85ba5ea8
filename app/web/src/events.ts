// The one event stream of the page, `/events`: whoever wants to know of something says so here, and nothing is polled.
// It is closed while nobody looks at the page: browsers allow six connections to a service, for all tabs together.

import { signal } from "@preact/signals";
import type { Events } from "./api/types.ts";
import { loadSession } from "./session.ts";

type EventType = keyof Events;
type Handler<T extends EventType> = (data: Events[T]) => void;

const TYPES: EventType[] = ["state", "tick", "snapshot", "score", "health", "published", "log", "model", "dataset"];
const HIDDEN_MILLISECONDS = 30_000;
const FIRST_RETRY = 1_000;
const LAST_RETRY = 30_000;

/** `off`: not asked for (yet); `lost`: it was there, or should be, and is being tried again. */
export const stream = signal<"off" | "open" | "lost">("off");

const handlers = new Map<EventType, Set<(data: never) => void>>();
const returning = new Set<() => void>();
let source: EventSource | null = null;
let wanted = false;
let pause = FIRST_RETRY;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Hear of a type of event; call what is returned to hear no more. */
export function on<T extends EventType>(type: T, handler: Handler<T>): () => void {
  const known = handlers.get(type) ?? new Set();
  handlers.set(type, known.add(handler));
  return () => known.delete(handler);
}

/** Hear that the stream is open (again): what was missed meanwhile has to be read. */
export function onReturn(handler: () => void): () => void {
  returning.add(handler);
  return () => returning.delete(handler);
}

/** Listen from now on. */
export function listen(): void {
  if (wanted) return;
  wanted = true;
  document.addEventListener("visibilitychange", seen);
  addEventListener("online", connect);
  connect();
}

/** Listen no more: the key is gone. */
export function stopListening(): void {
  wanted = false;
  document.removeEventListener("visibilitychange", seen);
  removeEventListener("online", connect);
  close();
  stream.value = "off";
}

function seen(): void {
  clearTimeout(timer);
  if (document.hidden) timer = setTimeout(close, HIDDEN_MILLISECONDS);
  else if (!source || source.readyState === EventSource.CLOSED) connect();
}

function close(): void {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function connect(): void {
  close();
  if (!wanted || document.hidden) return;
  source = new EventSource("/events");
  source.addEventListener("open", opened);
  source.addEventListener("error", failed);
  for (const type of TYPES) source.addEventListener(type, (event) => dispatch(type, event));
}

function opened(): void {
  pause = FIRST_RETRY;
  stream.value = "open";
  for (const handler of returning) handler();
}

// A browser comes back by itself, with the last id, after a broken connection; not after an answer that is no stream.
function failed(): void {
  stream.value = "lost";
  if (source?.readyState !== EventSource.CLOSED) return;
  // Sessions end with the service: after a restart a key may be asked for again. No answer is what `stream` tells.
  loadSession().catch(() => {});
  clearTimeout(timer);
  timer = setTimeout(connect, pause);
  pause = Math.min(2 * pause, LAST_RETRY);
}

function dispatch(type: EventType, event: MessageEvent<string>): void {
  const data = JSON.parse(event.data) as never;
  for (const handler of handlers.get(type) ?? []) handler(data);
}
