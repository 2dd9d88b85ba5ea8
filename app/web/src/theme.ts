// Colour theme: the system's, unless one is chosen here; the choice is kept in this browser.

import { effect, signal } from "@preact/signals";
import { storedValue } from "./storage.ts";

export type Theme = "auto" | "light" | "dark";

const NEXT: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };

const storedTheme = storedValue<Theme>("theme", "auto", (value): value is Theme => Object.hasOwn(NEXT, String(value)));
export const theme = signal<Theme>(storedTheme.read());

export function applyTheme(): void {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    storedTheme.write(theme.value);
  });
}

export function nextTheme(): void {
  theme.value = NEXT[theme.value];
}
