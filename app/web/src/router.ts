// Where the page is: its address is a signal, links change it without loading anew. Which views there are is in routes.ts.

import { computed, signal } from "@preact/signals";

export interface Place {
  path: string;
  query: URLSearchParams;
}

const here = (): Place => ({ path: location.pathname, query: new URLSearchParams(location.search) });

export const place = signal<Place>(here());
export const path = computed(() => place.value.path);

type Changes = Record<string, string | number | bigint | boolean | null | undefined>;

/** Go to an address of this page. `replace`: the back button shall not come back to where we are. */
export function navigate(href: string, { replace = false } = {}): void {
  if (href === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  const before = place.value.path;
  place.value = here();
  if (place.value.path !== before) scrollTo({ top: 0, behavior: "instant" });
}

/** Give an address with some of its query changed; null takes a parameter away. */
export function withQuery(at: Place, changes: Changes): string {
  const query = new URLSearchParams(at.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === false) query.delete(name);
    else query.set(name, String(value));
  }
  return addressOf(at.path, query);
}

/** Write a path and a query with those signs in plain that need no escaping there. */
export function addressOf(path: string, query: URLSearchParams): string {
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%40", "@");
  return text ? `${path}?${text}` : path;
}

/** Change the query of the view that is shown. */
export function patchQuery(changes: Changes, options: { replace?: boolean } = {}): void {
  navigate(withQuery(place.value, changes), options);
}

/** Follow links to other views without loading the page anew; all other links are the browser's. */
export function followLinks(isView: (path: string) => boolean): void {
  addEventListener("popstate", () => {
    place.value = here();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
      return;
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || !isView(link.pathname) || link.hash) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
