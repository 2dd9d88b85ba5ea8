// Values kept in this browser's local storage. Where storage is full, forbidden or corrupt, they last as long as the page.

export interface StoredValue<T> {
  read: () => T;
  write: (value: T) => void;
}

/** A value under the key `atelier.NAME`; reading returns `fallback` unless the stored JSON passes `isValid`. */
export function storedValue<T>(name: string, fallback: T, isValid: (value: unknown) => value is T): StoredValue<T> {
  const key = `atelier.${name}`;
  return {
    read: () => {
      const value = parseJson(withStorage((storage) => storage.getItem(key)));
      return isValid(value) ? value : fallback;
    },
    write: (value) => {
      withStorage((storage) => storage.setItem(key, JSON.stringify(value)));
    },
  };
}

// Even reading `localStorage` throws where a browser forbids it.
function withStorage<R>(use: (storage: Storage) => R): R | null {
  try {
    return use(localStorage);
  } catch {
    return null;
  }
}

function parseJson(text: string | null): unknown {
  try {
    return text === null ? null : (JSON.parse(text) as unknown);
  } catch {
    return null;
  }
}
