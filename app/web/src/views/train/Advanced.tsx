// Advanced settings: changed values become overrides, which the service validates as they are typed.

import { useSignal } from "@preact/signals";
import { Field } from "../../ui/fields.tsx";
import { formatValue, groupsOf, type Override, parseValue, type Setting, type Values } from "./settings.ts";

interface Props {
  config: Values;
  overrides: Record<string, Override>;
  errors: Record<string, string>;
  onChange: (overrides: Record<string, Override>) => void;
}

export function Advanced({ config, overrides, errors, onChange }: Props) {
  const changed = Object.keys(overrides);
  const resets = useSignal(0);
  const hasErrors = changed.some((name) => errors[name]);

  function change(name: string, value: Override | undefined) {
    const { [name]: _, ...others } = overrides;
    onChange(value === undefined ? others : { ...others, [name]: value });
  }

  return (
    <details class="advanced" open={hasErrors || undefined}>
      <summary>Advanced settings{changed.length > 0 && ` (${changed.length} changed)`}</summary>
      {changed.length > 0 && (
        <button
          type="button"
          class="small"
          onClick={() => {
            // New keys discard half-typed text as well.
            resets.value++;
            onChange({});
          }}
        >
          Reset to the preset
        </button>
      )}
      {groupsOf(config).map(({ title, settings }) => (
        <fieldset key={title}>
          <legend>{title}</legend>
          <div class="fields">
            {settings.map((setting) => (
              <SettingField
                key={`${setting.name} ${resets.value}`}
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

interface SettingFieldProps {
  setting: Setting;
  override: Override | undefined;
  error: string | undefined;
  onChange: (value: Override | undefined) => void;
}

function SettingField({ setting: { name, value, choices }, override, error, onChange }: SettingFieldProps) {
  const typed = useSignal<string | null>(null);
  const label = name.slice(name.indexOf(".") + 1).replaceAll(/[._]/g, " ");
  const shown = typed.value ?? formatValue(override ?? value);
  const options = choices ?? (typeof value === "boolean" ? ["true", "false"] : null);

  function handleInput(text: string) {
    typed.value = text;
    onChange(text.trim() === "" ? undefined : parseValue(text));
  }

  return (
    <Field label={label} error={error}>
      {(attributes) =>
        options ? (
          <select {...attributes} value={shown} onChange={(event) => handleInput(event.currentTarget.value)}>
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
            onInput={(event) => handleInput(event.currentTarget.value)}
            onBlur={() => {
              if (!error) typed.value = null;
            }}
          />
        )
      }
    </Field>
  );
}
