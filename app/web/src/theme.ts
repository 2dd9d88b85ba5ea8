// Light or dark: as the system says, unless chosen here; the choice is kept in this browser.

import { effect, signal } from "@preact/signals";
import { stored } from "./stored.ts";

export type Theme = "auto" | "light" | "dark";

const NEXT: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };

const kept = stored<Theme>("theme", "auto", (value): value is Theme => Object.hasOwn(NEXT, String(value)));
export const theme = signal<Theme>(kept.read());

export function applyTheme(): void {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    kept.write(theme.value);
  });
}

export function nextTheme(): void {
  theme.value = NEXT[theme.value];
}
