// The views: which address shows which, and the code of each, loaded when it is first shown.

import type { ComponentType } from "preact";
import type { KeyScope } from "./api/types.ts";

/** What a view is given: the last part of its path, where it shows one thing; empty where it shows all. */
export interface ViewProps {
  name: string;
}

export interface Route {
  /** In the navigation, and in the window's title. */
  title: string;
  pattern: RegExp;
  /** What a key must allow. */
  scope: KeyScope;
  load: () => Promise<{ default: ComponentType<ViewProps> }>;
  /** The address that the navigation leads to; views without one are not in it. */
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
    if (match) return { route, name: decoded(match[1] ?? "") };
  }
  return null;
}

// Not everything that can be typed into an address bar is well-formed.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
