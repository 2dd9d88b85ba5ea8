// One field of a form, with what is wrong with it said right there.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface Attributes {
  id: string;
  "aria-invalid"?: "true";
  "aria-describedby"?: string;
}

interface Props {
  label: string;
  error?: string | undefined;
  /** The control, which takes these attributes. */
  children: (attributes: Attributes) => ComponentChildren;
}

export function Field({ label, error, children }: Props) {
  const id = useId();
  const told = `${id}-error`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, ...(error ? { "aria-invalid": "true", "aria-describedby": told } : {}) })}
      {error && (
        <p class="error small-error" id={told}>
          {error}
        </p>
      )}
    </div>
  );
}
