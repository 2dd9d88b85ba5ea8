// The table of views: URL pattern, required scope, and code, which is loaded when a view is first shown.

import type { ComponentType } from "preact";
import type { KeyScope } from "./api/types.ts";
import type { ViewProps } from "./router.ts";

export interface Route {
  /** Shown in the navigation and in the window's title. */
  title: string;
  pattern: RegExp;
  /** The scope that a session needs. */
  scope: KeyScope;
  load: () => Promise<{ default: ComponentType<ViewProps> }>;
  /** The link in the navigation; views without one are not listed there. */
  nav?: string;
}

export const ROUTES: Route[] = [
  {
    title: "Gallery",
    pattern: /^\/$/,
    scope: "sample",
    load: () => import("./views/gallery/Gallery.tsx"),
    nav: "/",
  },
  {
    title: "Play",
    pattern: /^\/play$/,
    scope: "sample",
    load: () => import("./views/play/Play.tsx"),
    nav: "/play",
  },
  {
    title: "Data",
    pattern: /^\/data$/,
    scope: "train",
    load: () => import("./views/data/Data.tsx"),
    nav: "/data",
  },
  {
    title: "Data set",
    pattern: /^\/data\/([^/]+)$/,
    scope: "train",
    load: () => import("./views/data/Dataset.tsx"),
  },
  {
    title: "Train",
    pattern: /^\/runs\/new$/,
    scope: "train",
    load: () => import("./views/train/Train.tsx"),
    nav: "/runs/new",
  },
  {
    title: "Runs",
    pattern: /^\/runs$/,
    scope: "train",
    load: () => import("./views/run/Runs.tsx"),
    nav: "/runs",
  },
  {
    title: "Run",
    pattern: /^\/runs\/([^/]+)$/,
    scope: "train",
    load: () => import("./views/run/Run.tsx"),
  },
];

export function findRoute(path: string): { route: Route; name: string } | null {
  for (const route of ROUTES) {
    const match = route.pattern.exec(path);
    if (match) return { route, name: decodePart(match[1] ?? "") };
  }
  return null;
}

// Not every URL that can be typed is well-formed.
function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
