// The page's single event stream, `/events`: views subscribe to event types, and nothing is polled.
// It is closed while the page is hidden: browsers allow six connections to a service, shared by all tabs.

import { signal } from "@preact/signals";
import type { Events } from "./api/types.ts";
import { loadSession } from "./session.ts";

type EventType = keyof Events;
type Handler<T extends EventType> = (data: Events[T]) => void;

const TYPES: EventType[] = ["state", "tick", "snapshot", "score", "health", "published", "log", "model", "dataset"];
const CLOSE_WHEN_HIDDEN_MILLISECONDS = 30_000;
const FIRST_RETRY_MILLISECONDS = 1_000;
const LAST_RETRY_MILLISECONDS = 30_000;

/** `off`: not wanted (yet); `lost`: wanted, but not connected; it is being retried. */
export const stream = signal<"off" | "open" | "lost">("off");

const handlers = new Map<EventType, Set<(data: never) => void>>();
const reconnectHandlers = new Set<() => void>();
let source: EventSource | null = null;
let enabled = false;
let retryDelay = FIRST_RETRY_MILLISECONDS;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Subscribe to a type of event; returns the function that unsubscribes. */
export function on<T extends EventType>(type: T, handler: Handler<T>): () => void {
  const known = handlers.get(type) ?? new Set();
  handlers.set(type, known.add(handler));
  return () => known.delete(handler);
}

/** Run a handler whenever the stream opens (again): events in between were missed, so state has to be read anew. */
export function onReconnect(handler: () => void): () => void {
  reconnectHandlers.add(handler);
  return () => reconnectHandlers.delete(handler);
}

export function openStream(): void {
  if (enabled) return;
  enabled = true;
  document.addEventListener("visibilitychange", visibilityChanged);
  addEventListener("online", connect);
  connect();
}

/** Close the stream for good: the session is over. */
export function closeStream(): void {
  enabled = false;
  document.removeEventListener("visibilitychange", visibilityChanged);
  removeEventListener("online", connect);
  disconnect();
  stream.value = "off";
}

function visibilityChanged(): void {
  clearTimeout(timer);
  if (document.hidden) timer = setTimeout(disconnect, CLOSE_WHEN_HIDDEN_MILLISECONDS);
  else if (!source || source.readyState === EventSource.CLOSED) connect();
}

function disconnect(): void {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function connect(): void {
  disconnect();
  if (!enabled || document.hidden) return;
  source = new EventSource("/events");
  source.addEventListener("open", handleOpen);
  source.addEventListener("error", handleError);
  for (const type of TYPES) source.addEventListener(type, (event) => dispatch(type, event));
}

function handleOpen(): void {
  retryDelay = FIRST_RETRY_MILLISECONDS;
  stream.value = "open";
  for (const handler of reconnectHandlers) handler();
}

// The browser itself reconnects with the last event id after a broken connection, but not after an error response.
function handleError(): void {
  stream.value = "lost";
  if (source?.readyState !== EventSource.CLOSED) return;
  // Sessions end when the service restarts: a key may be needed again. A missing response already shows in `stream`.
  loadSession().catch(() => {});
  clearTimeout(timer);
  timer = setTimeout(connect, retryDelay);
  retryDelay = Math.min(2 * retryDelay, LAST_RETRY_MILLISECONDS);
}

function dispatch(type: EventType, event: MessageEvent<string>): void {
  const data = JSON.parse(event.data) as never;
  for (const handler of handlers.get(type) ?? []) handler(data);
}
