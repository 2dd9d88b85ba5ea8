// The application shell around every view: navigation, connection state, sign-in, messages.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { errorMessage } from "./api/client.ts";
import { closeStream, openStream, stream } from "./events.ts";
import { attempt, Notices } from "./notices.tsx";
import { path, type ViewProps } from "./router.ts";
import { findRoute, ROUTES, type Route } from "./routes.ts";
import { hasScope, mustSignIn, session, sessionError, signOut } from "./session.ts";
import { SignIn } from "./signin.tsx";
import { nextTheme, theme } from "./theme.ts";
import { Failure } from "./ui/parts.tsx";

export function App() {
  useSignalEffect(() => {
    if (hasScope("train")) openStream();
    else closeStream();
  });
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      {stream.value === "lost" && (
        <p class="offline" role="status">
          The connection to Atelier is lost. What you see may be out of date; the page is reconnecting.
        </p>
      )}
      <main id="main" tabIndex={-1}>
        {session.value === null ? <LoadingSession /> : mustSignIn.value ? <SignIn /> : <View />}
      </main>
      <Notices />
    </>
  );
}

// Which views may be shown depends on the session, which is retried until it is loaded.
function LoadingSession() {
  return sessionError.value === null ? (
    <p class="loading">Loading…</p>
  ) : (
    <Failure title="Atelier cannot be reached" text={errorMessage(sessionError.value)} />
  );
}

function Header() {
  const current = findRoute(path.value)?.route;
  return (
    <header class="top">
      <a class="brand" href="/">
        <img src="/web/favicon.svg" alt="" width="28" height="28" />
        Atelier
      </a>
      <nav aria-label="Views">
        {ROUTES.filter((route) => route.nav && hasScope(route.scope)).map((route) => (
          <a key={route.title} href={route.nav ?? "/"} aria-current={isWithin(current, route) ? "page" : undefined}>
            {route.title}
          </a>
        ))}
      </nav>
      <div class="aside">
        <a href="/docs" target="_blank" rel="noopener">
          API
        </a>
        <button type="button" class="plain" onClick={nextTheme} aria-label={`Colour theme: ${theme.value}. Change`}>
          {{ auto: "◐", light: "☀", dark: "☾" }[theme.value]}
        </button>
        {session.value?.required && !mustSignIn.value && (
          <button type="button" class="plain" onClick={() => attempt(signOut)}>
            Sign out
          </button>
        )}
      </div>
    </header>
  );
}

// The view of one thing belongs to the list view: /runs/ID to /runs.
function isWithin(current: Route | undefined, route: Route): boolean {
  if (current?.nav !== undefined) return current === route;
  return route.nav !== undefined && route.nav !== "/" && path.value.startsWith(`${route.nav}/`);
}

function View() {
  const found = findRoute(path.value);
  const loaded = useSignal<{ route: Route; view: ComponentType<ViewProps> } | null>(null);
  const loadError = useSignal<unknown>(null);
  const shownPath = useRef(path.value);
  const route = found?.route;

  useEffect(() => {
    document.title = route ? `${route.title} · Atelier` : "Atelier";
    loadError.value = null;
    if (!route) return;
    // A view that loads after the user has gone on must not replace the newer one.
    let isCurrent = true;
    route.load().then(
      (module) => {
        if (isCurrent) loaded.value = { route, view: module.default };
      },
      (error: unknown) => {
        if (isCurrent) loadError.value = error;
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [route, loadError, loaded]);

  // Screen readers do not notice that the view has changed: move the focus to its start.
  useEffect(() => {
    if (shownPath.current === path.value) return;
    shownPath.current = path.value;
    document.getElementById("main")?.focus({ preventScroll: true });
  });

  if (!found) return <NotFound />;
  if (!hasScope(found.route.scope))
    return <Failure title="Not allowed" text={`This key does not have the scope "${found.route.scope}".`} />;
  if (loadError.value)
    return <Failure title="This view did not load" text="Atelier may have been upgraded: reload the page." />;
  if (loaded.value?.route !== found.route) return <p class="loading">Loading…</p>;
  const Shown = loaded.value.view;
  return <Shown name={found.name} />;
}

function NotFound() {
  return (
    <Failure title="Page not found" text={`${path.value} is not a view of this page.`}>
      <a class="button" href="/">
        To the gallery
      </a>
    </Failure>
  );
}
