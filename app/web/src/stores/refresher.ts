// Serialized refreshing of a cached server value: one request at a time, so an older response never replaces a newer one.

export interface Refresher {
  /** Fetch the value. While a fetch is running, one more follows it, and the promise resolves after that one. */
  refresh: () => Promise<void>;
  /** Fetch once more if a fetch is running: its response may be older than a change that just became known. */
  invalidate: () => void;
}

export function createRefresher<T>(
  fetchValue: () => Promise<T>,
  onValue: (value: T) => void,
  onError: (error: unknown) => void,
): Refresher {
  let running: Promise<void> | null = null;
  let again = false;

  async function run(): Promise<void> {
    do {
      again = false;
      await fetchValue().then(onValue).catch(onError);
    } while (again);
    running = null;
  }

  function refresh(): Promise<void> {
    again = true;
    running ??= run();
    return running;
  }

  return { refresh, invalidate: () => void (running && refresh()) };
}
