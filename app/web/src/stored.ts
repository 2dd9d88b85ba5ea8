// What this browser remembers for its user. Storage that is full, forbidden or holds something else costs only the memory.

export interface Stored<T> {
  read: () => T;
  write: (value: T) => void;
}

/** Keep a value under a name; what is found there counts only if `valid` says so. */
export function stored<T>(name: string, fallback: T, valid: (value: unknown) => value is T): Stored<T> {
  const key = `atelier.${name}`;
  return {
    read: () => {
      const value = parse(access((storage) => storage.getItem(key)));
      return valid(value) ? value : fallback;
    },
    write: (value) => {
      access((storage) => storage.setItem(key, JSON.stringify(value)));
    },
  };
}

function access<R>(use: (storage: Storage) => R): R | null {
  try {
    return use(localStorage);
  } catch {
    return null;
  }
}

function parse(text: string | null): unknown {
  try {
    return text === null ? null : (JSON.parse(text) as unknown);
  } catch {
    return null;
  }
}
