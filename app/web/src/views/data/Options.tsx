// How images are prepared: their size, and what becomes of those that are not square.

interface Props {
  value: string;
  onChange: (value: string) => void;
  /** What leaving it open means; without it, it cannot be left open. */
  first?: string;
}

export const SIZES = ["28", "32", "64", "128"];
export const CROPS = { centre: "the middle square", whole: "the whole image, with a border" };

export function Size({ value, onChange, first }: Props) {
  return (
    <label class="field">
      Size
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {first && <option value="">{first}</option>}
        {SIZES.map((size) => (
          <option key={size} value={size}>
            {size} px
          </option>
        ))}
      </select>
    </label>
  );
}

export function Crop({ value, onChange, first }: Props) {
  return (
    <label class="field">
      Crop
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {first && <option value="">{first}</option>}
        {Object.entries(CROPS).map(([crop, meaning]) => (
          <option key={crop} value={crop}>
            {meaning}
          </option>
        ))}
      </select>
    </label>
  );
}
