// The session and its scopes. Where the service needs no keys, every visitor has all scopes.

import { computed, signal } from "@preact/signals";
import { call } from "./api/client.ts";
import type { KeyScope, Session } from "./api/types.ts";

/** Null until it is loaded. */
export const session = signal<Session | null>(null);
/** Why it could not be loaded. */
export const sessionError = signal<unknown>(null);

const RETRY_MILLISECONDS = 3_000;

export const mustSignIn = computed(() => session.value !== null && session.value.scopes.length === 0);

/** Whether the session has a scope: the page shows only what the session may do. */
export function hasScope(scope: KeyScope): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}

/** Load the session and retry until that succeeds: without it there is nothing to show. */
export async function startSession(): Promise<void> {
  try {
    await loadSession();
    sessionError.value = null;
  } catch (error) {
    sessionError.value = error;
    setTimeout(startSession, RETRY_MILLISECONDS);
  }
}

export async function loadSession(): Promise<void> {
  session.value = await call("GET /session", {});
}

export async function signIn(key: string): Promise<void> {
  session.value = await call("POST /session", { body: { key } });
}

/** End the session and reload, so that nothing that this key could read stays in the page. */
export async function signOut(): Promise<void> {
  await call("DELETE /session", {});
  location.reload();
}
