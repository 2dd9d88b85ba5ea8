// How far something is: a bar, and the words beside it.

import type { ComponentChildren } from "preact";

interface Props {
  label: string;
  /** From 0 to 1; null where nobody knows. */
  fraction: number | null;
  children?: ComponentChildren;
}

export function Progress({ label, fraction, children }: Props) {
  return (
    <div class="progress">
      <progress aria-label={label} {...(fraction === null ? {} : { value: fraction, max: 1 })} />
      {children && <p class="hint">{children}</p>}
    </div>
  );
}
