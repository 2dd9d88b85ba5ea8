// A part that scrolls by itself: it has a name, and the keyboard reaches it.

import type { ComponentChildren } from "preact";

export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without it, only a mouse could scroll here.
    <section class="scroll" tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
