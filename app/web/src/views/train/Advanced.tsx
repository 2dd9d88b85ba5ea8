// Every setting of a training, folded away: changed ones become overrides, and are judged by the service as they are typed.

import { useSignal } from "@preact/signals";
import { Field } from "./Field.tsx";
import { groupsOf, type Override, read, type Setting, type Values, write } from "./settings.ts";

interface Props {
  config: Values;
  overrides: Record<string, Override>;
  errors: Record<string, string>;
  onChange: (overrides: Record<string, Override>) => void;
}

export function Advanced({ config, overrides, errors, onChange }: Props) {
  const changed = Object.keys(overrides);
  const undone = useSignal(0);
  const isWrong = changed.some((name) => errors[name]);

  function change(name: string, value: Override | undefined) {
    const { [name]: _, ...others } = overrides;
    onChange(value === undefined ? others : { ...others, [name]: value });
  }

  return (
    <details class="advanced" open={isWrong || undefined}>
      <summary>Advanced settings{changed.length > 0 && ` (${changed.length} changed)`}</summary>
      {changed.length > 0 && (
        <button
          type="button"
          class="small"
          onClick={() => {
            // What is half typed goes too.
            undone.value++;
            onChange({});
          }}
        >
          Back to the preset's
        </button>
      )}
      {groupsOf(config).map(({ title, settings }) => (
        <fieldset key={title}>
          <legend>{title}</legend>
          <div class="fields">
            {settings.map((setting) => (
              <One
                key={`${setting.name} ${undone.value}`}
                setting={setting}
                override={overrides[setting.name]}
                error={errors[setting.name]}
                onChange={(value) => change(setting.name, value)}
              />
            ))}
          </div>
        </fieldset>
      ))}
    </details>
  );
}

interface OneProps {
  setting: Setting;
  override: Override | undefined;
  error: string | undefined;
  onChange: (value: Override | undefined) => void;
}

function One({ setting: { name, value, words }, override, error, onChange }: OneProps) {
  const typed = useSignal<string | null>(null);
  const label = name.slice(name.indexOf(".") + 1).replaceAll(/[._]/g, " ");
  const shown = typed.value ?? write(override ?? value);
  const options = words ?? (typeof value === "boolean" ? ["true", "false"] : null);

  function take(text: string) {
    typed.value = text;
    onChange(text.trim() === "" ? undefined : read(text));
  }

  return (
    <Field label={label} error={error}>
      {(attributes) =>
        options ? (
          <select {...attributes} value={shown} onChange={(event) => take(event.currentTarget.value)}>
            {options.map((option) => (
              <option key={option}>{option}</option>
            ))}
          </select>
        ) : (
          <input
            {...attributes}
            value={shown}
            data-changed={override !== undefined}
            spellcheck={false}
            onInput={(event) => take(event.currentTarget.value)}
            onBlur={() => {
              if (!error) typed.value = null;
            }}
          />
        )
      }
    </Field>
  );
}
