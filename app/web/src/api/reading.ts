// Keeps a copy of what the service has: one question at a time, so that an old answer never replaces a newer one.

export interface Reading {
  /** Read anew; asked for while it is being read, it is read once more afterwards. */
  now: () => Promise<void>;
  /** Read once more if it is being read: the answer may be older than what has just been heard. */
  heard: () => void;
}

export function reading<T>(read: () => Promise<T>, take: (answer: T) => void, fail: (error: unknown) => void): Reading {
  let asking: Promise<void> | null = null;
  let again = false;

  async function ask(): Promise<void> {
    do {
      again = false;
      await read().then(take).catch(fail);
    } while (again);
    asking = null;
  }

  function now(): Promise<void> {
    again = true;
    asking ??= ask();
    return asking;
  }

  return { now, heard: () => void (asking && now()) };
}
