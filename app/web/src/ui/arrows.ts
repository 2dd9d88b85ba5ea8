// Arrow keys among cells that lie in rows: the focus goes where the arrow points.

const STEPS: Record<string, (columns: number) => number> = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: (columns) => -columns,
  ArrowDown: (columns) => columns,
};

/** How many cells on a key leads; 0 for keys that are no arrows. */
export function arrowStep(key: string, columns: number): number {
  return STEPS[key]?.(columns) ?? 0;
}

/** Move the focus from a button to another of the same grid. */
export function moveFocus(event: KeyboardEvent, grid: HTMLElement, columns: number): void {
  const by = arrowStep(event.key, columns);
  const cells = [...grid.querySelectorAll<HTMLButtonElement>("button[data-cell]")];
  const next = cells[cells.indexOf(event.target as HTMLButtonElement) + by];
  if (!by || !next) return;
  event.preventDefault();
  next.focus();
}
