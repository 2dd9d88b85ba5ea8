// Browser helpers: arrow keys in a grid of cells, and the clipboard.

const STEPS: Record<string, (columns: number) => number> = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: (columns) => -columns,
  ArrowDown: (columns) => columns,
};

/** The number of cells that a key moves by; 0 for keys other than arrows. */
export function arrowStep(key: string, columns: number): number {
  return STEPS[key]?.(columns) ?? 0;
}

/** Move the focus from one button of a grid to another. */
export function moveFocus(event: KeyboardEvent, grid: HTMLElement, columns: number): void {
  const step = arrowStep(event.key, columns);
  const cells = [...grid.querySelectorAll<HTMLButtonElement>("button[data-cell]")];
  const next = cells[cells.indexOf(event.target as HTMLButtonElement) + step];
  if (!step || !next) return;
  event.preventDefault();
  next.focus();
}

/** Copy text to the clipboard. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without TLS, browsers offer only the older way: select the text and copy the selection.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("This browser does not let the page copy: select the text and copy it yourself.");
}
