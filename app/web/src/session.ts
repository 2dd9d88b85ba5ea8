// Who is here and what they may do. Where keys are off, everybody may do everything.

import { computed, signal } from "@preact/signals";
import { call } from "./api/client.ts";
import type { KeyScope, Session } from "./api/types.ts";

/** Null until the service has told. */
export const session = signal<Session | null>(null);

export const mustSignIn = computed(() => session.value !== null && session.value.scopes.length === 0);

/** Whether a key's scope is there: what it is needed for is shown only then. */
export function can(scope: KeyScope): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}

export async function loadSession(): Promise<void> {
  session.value = await call("GET /session", {});
}

export async function signIn(key: string): Promise<void> {
  session.value = await call("POST /session", { body: { key } });
}

export async function signOut(): Promise<void> {
  await call("DELETE /session", {});
  await loadSession();
}
