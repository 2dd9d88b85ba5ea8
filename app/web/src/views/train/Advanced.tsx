// Advanced settings: changed values become overrides, which the service validates as they are typed.

import { useSignal } from "@preact/signals";
import type { Choices, SchemaNodes } from "../../stores/schema.ts";
import { Field } from "../../ui/fields.tsx";
import { formatValue, groupsOf, type Override, parseValue, type Setting, type Values } from "./settings.ts";

interface Props {
  config: Values;
  schemas: SchemaNodes;
  overrides: Record<string, Override>;
  errors: Record<string, string>;
  onChange: (overrides: Record<string, Override>) => void;
}

export function Advanced({ config, schemas, overrides, errors, onChange }: Props) {
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
      {groupsOf(config, schemas).map(({ title, settings }) => (
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

function SettingField(props: SettingFieldProps) {
  const { choices } = props.setting;
  if (!choices) return <TextSetting {...props} />;
  return choices.multiple ? (
    <CheckboxSetting {...props} choices={choices} />
  ) : (
    <SelectSetting {...props} choices={choices} />
  );
}

function labelOf({ name }: Setting): string {
  return name.slice(name.indexOf(".") + 1).replaceAll(/[._]/g, " ");
}

function TextSetting({ setting, override, error, onChange }: SettingFieldProps) {
  // The text as typed: formatting the parsed value would change it under the user's hands.
  const typed = useSignal<string | null>(null);
  return (
    <Field label={labelOf(setting)} error={error}>
      {(attributes) => (
        <input
          {...attributes}
          value={typed.value ?? formatValue(override ?? setting.value)}
          data-changed={override !== undefined}
          spellcheck={false}
          onInput={(event) => {
            const text = event.currentTarget.value;
            typed.value = text;
            onChange(text.trim() === "" ? undefined : parseValue(text));
          }}
          onBlur={() => {
            if (!error) typed.value = null;
          }}
        />
      )}
    </Field>
  );
}

function SelectSetting({ setting, override, error, onChange, choices }: SettingFieldProps & { choices: Choices }) {
  return (
    <Field label={labelOf(setting)} error={error}>
      {(attributes) => (
        <select
          {...attributes}
          value={formatValue(override ?? setting.value)}
          data-changed={override !== undefined}
          onChange={(event) => onChange(parseValue(event.currentTarget.value))}
        >
          {choices.values.map(formatValue).map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      )}
    </Field>
  );
}

function CheckboxSetting({ setting, override, error, onChange, choices }: SettingFieldProps & { choices: Choices }) {
  const current = override ?? setting.value;
  const chosen = Array.isArray(current) ? current : [];
  return (
    <Field label={labelOf(setting)} error={error} group>
      {(attributes) => (
        // biome-ignore lint/a11y/useSemanticElements: fieldsets are the groups of settings, with another layout.
        <div {...attributes} role="group" class="checkboxes">
          {choices.values.map((choice) => (
            <label key={choice} class="check">
              <input
                type="checkbox"
                checked={chosen.includes(choice)}
                onChange={(event) => {
                  const { checked } = event.currentTarget;
                  onChange(choices.values.filter((each) => (each === choice ? checked : chosen.includes(each))));
                }}
              />
              {formatValue(choice)}
            </label>
          ))}
        </div>
      )}
    </Field>
  );
}
