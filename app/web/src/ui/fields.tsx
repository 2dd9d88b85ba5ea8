// Form fields: a labelled control with its error message, and a choice of numbers.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface ControlAttributes {
  id?: string;
  "aria-labelledby"?: string;
  "aria-invalid"?: "true";
  "aria-describedby"?: string;
}

interface FieldProps {
  label: string;
  error?: string | undefined;
  /** Whether the control is a group of controls, which a `label` element cannot name. */
  group?: boolean;
  /** Renders the control with these attributes. */
  children: (attributes: ControlAttributes) => ComponentChildren;
}

export function Field({ label, error, group = false, children }: FieldProps) {
  const id = useId();
  const errorId = `${id}-error`;
  return (
    <div class="field">
      {group ? <span id={id}>{label}</span> : <label for={id}>{label}</label>}
      {children({
        ...(group ? { "aria-labelledby": id } : { id }),
        ...(error ? { "aria-invalid": "true", "aria-describedby": errorId } : {}),
      })}
      {error && (
        <p class="error small-error" id={errorId}>
          {error}
        </p>
      )}
    </div>
  );
}

interface NumberFieldProps {
  label: string;
  value: number;
  choices: readonly number[];
  /** Formats a choice; by default as the bare number. */
  format?: (value: number) => string;
  onChange: (value: number) => void;
}

export function NumberField({ label, value, choices, format = String, onChange }: NumberFieldProps) {
  // The page's URL may hold a value that is not among the choices.
  const offered = [...new Set([...choices, value])].sort((a, b) => a - b);
  return (
    <label class="field">
      {label}
      <select value={value} onChange={(event) => onChange(Number(event.currentTarget.value))}>
        {offered.map((each) => (
          <option key={each} value={each}>
            {format(each)}
          </option>
        ))}
      </select>
    </label>
  );
}
