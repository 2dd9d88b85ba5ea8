// A choice among numbers; one that an address asks for and that is not among them is offered too.

interface Props {
  label: string;
  value: number;
  among: readonly number[];
  /** How a number reads; as it is, if not given. */
  name?: (value: number) => string;
  onChange: (value: number) => void;
}

export function NumberField({ label, value, among, name = String, onChange }: Props) {
  const offered = [...new Set([...among, value])].sort((a, b) => a - b);
  return (
    <label class="field">
      {label}
      <select value={value} onChange={(event) => onChange(Number(event.currentTarget.value))}>
        {offered.map((each) => (
          <option key={each} value={each}>
            {name(each)}
          </option>
        ))}
      </select>
    </label>
  );
}
