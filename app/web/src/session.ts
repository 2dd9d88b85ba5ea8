// Who is here and what they may do. Where keys are off, everybody may do everything.

import { computed, signal } from "@preact/signals";
import { call } from "./api/client.ts";
import type { KeyScope, Session } from "./api/types.ts";

/** Null until the service has told. */
export const session = signal<Session | null>(null);
/** Why it has not. */
export const sessionError = signal<unknown>(null);

const RETRY_MILLISECONDS = 3_000;

export const mustSignIn = computed(() => session.value !== null && session.value.scopes.length === 0);

/** Whether a key's scope is there: what it is needed for is shown only then. */
export function can(scope: KeyScope): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}

/** Ask until the service tells: without an answer there is nothing to show. */
export async function beginSession(): Promise<void> {
  try {
    await loadSession();
    sessionError.value = null;
  } catch (error) {
    sessionError.value = error;
    setTimeout(beginSession, RETRY_MILLISECONDS);
  }
}

export async function loadSession(): Promise<void> {
  session.value = await call("GET /session", {});
}

export async function signIn(key: string): Promise<void> {
  session.value = await call("POST /session", { body: { key } });
}

/** Load the page anew, so that nothing of what this key could see is left in it. */
export async function signOut(): Promise<void> {
  await call("DELETE /session", {});
  location.reload();
}
