// Formatting of numbers, sizes, durations, dates and identifiers.

/** About three significant digits: 0.123, 4.56, 78.9, 1,234. */
export function round(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  return `${round(count / 1000 ** power)} ${units[power]}`;
}

export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  const hours = seconds / 3600;
  return hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} days`;
}

export function plural(count: number, one: string, several = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}

/** A date and time in the reader's own time zone and language. */
export function dateTime(time: string): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** An identifier as words: `near_duplicate` becomes "near duplicate". */
export function humanize(name: string): string {
  return name.replaceAll("_", " ");
}

export function colourMode(channels: number): string {
  return channels === 1 ? "grey" : "colour";
}
