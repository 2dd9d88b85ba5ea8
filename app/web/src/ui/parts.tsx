// Small display parts: chip, progress bar, scroll area, error page.

import type { ComponentChildren } from "preact";

export type Tone = "accent" | "good" | "bad" | "warn";

interface ChipProps {
  tone?: Tone | undefined;
  title?: string;
  children: ComponentChildren;
}

/** A state or an alias as a small label. */
export function Chip({ tone, title, children }: ChipProps) {
  return (
    <span class="chip" data-tone={tone} title={title}>
      {children}
    </span>
  );
}

interface ProgressProps {
  label: string;
  /** From 0 to 1; null where it is unknown. */
  fraction: number | null;
  children?: ComponentChildren;
}

export function Progress({ label, fraction, children }: ProgressProps) {
  return (
    <div class="progress">
      <progress aria-label={label} {...(fraction === null ? {} : { value: fraction, max: 1 })} />
      {children && <p class="hint">{children}</p>}
    </div>
  );
}

/** An area that scrolls by itself. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without it, only a mouse could scroll here.
    <section class="scroll" tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}

/** Shown in place of something that cannot be shown: what is wrong, and what to do. */
export function Failure({ title, text, children }: { title: string; text: string; children?: ComponentChildren }) {
  return (
    <section class="failure" role="alert">
      <h1>{title}</h1>
      <p>{text}</p>
      {children}
    </section>
  );
}
