// The page's URL as a signal, and navigation without reloading. The table of views is in routes.ts.

import { computed, signal } from "@preact/signals";

export interface PageUrl {
  path: string;
  query: URLSearchParams;
}

export interface ViewProps {
  /** The last part of the path in views of one item; empty in lists. */
  name: string;
}

const readLocation = (): PageUrl => ({ path: location.pathname, query: new URLSearchParams(location.search) });

export const currentUrl = signal<PageUrl>(readLocation());
export const path = computed(() => currentUrl.value.path);

type QueryChanges = Record<string, string | number | bigint | boolean | null | undefined>;

/** Go to a URL of this page. `replace`: the current one is not kept in the browser's history. */
export function navigate(href: string, { replace = false } = {}): void {
  if (href === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  const before = currentUrl.value.path;
  currentUrl.value = readLocation();
  if (currentUrl.value.path !== before) scrollTo({ top: 0, behavior: "instant" });
}

/** Return a URL with some query parameters changed; null removes a parameter. */
export function withQuery(url: PageUrl, changes: QueryChanges): string {
  const query = new URLSearchParams(url.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === false) query.delete(name);
    else query.set(name, String(value));
  }
  return formatUrl(url.path, query);
}

/** Format a path and a query; commas and at signs stay readable, as queries need not escape them. */
export function formatUrl(path: string, query: URLSearchParams): string {
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%40", "@");
  return text ? `${path}?${text}` : path;
}

/** Change query parameters of the current view. */
export function updateQuery(changes: QueryChanges, options: { replace?: boolean } = {}): void {
  navigate(withQuery(currentUrl.value, changes), options);
}

/** Handle clicks on links to other views without a page load; all other links are left to the browser. */
export function interceptLinks(isView: (path: string) => boolean): void {
  addEventListener("popstate", () => {
    currentUrl.value = readLocation();
  });
  document.addEventListener("click", (event) => {
    // With a modifier or another button, links open in a new tab or window.
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
      return;
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || !isView(link.pathname) || link.hash) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
