// A word in a frame: a state, an alias.

import type { ComponentChildren } from "preact";

export type Tone = "accent" | "good" | "bad" | "warn";

export function Chip({
  tone,
  title,
  children,
}: {
  tone?: Tone | undefined;
  title?: string;
  children: ComponentChildren;
}) {
  return (
    <span class="chip" data-tone={tone} title={title}>
      {children}
    </span>
  );
}
