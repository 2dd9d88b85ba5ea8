// The frame around every view: navigation, the state of the connection, signing in, messages.

import { useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { words } from "./api/client.ts";
import { listen, stopListening, stream } from "./events.ts";
import { attempt, Notices } from "./notices.tsx";
import { path } from "./router.ts";
import { findRoute, ROUTES, type Route, type ViewProps } from "./routes.ts";
import { can, mustSignIn, session, sessionError, signOut } from "./session.ts";
import { SignIn } from "./signin.tsx";
import { nextTheme, theme } from "./theme.ts";
import { Failure } from "./ui/Failure.tsx";

export function App() {
  useSignalEffect(() => {
    if (can("train")) listen();
    else stopListening();
  });
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      {stream.value === "lost" && (
        <p class="offline" role="status">
          The connection to Atelier is gone. What you see may be old; it is being tried again.
        </p>
      )}
      <main id="main" tabIndex={-1}>
        {session.value === null ? <Beginning /> : mustSignIn.value ? <SignIn /> : <View />}
      </main>
      <Notices />
    </>
  );
}

// Nothing is shown before it is known what may be: `session` asks again until it is told.
function Beginning() {
  return sessionError.value === null ? (
    <p class="loading">Loading…</p>
  ) : (
    <Failure title="Atelier cannot be reached" text={words(sessionError.value)} />
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
        {ROUTES.filter((route) => route.nav && can(route.scope)).map((route) => (
          <a key={route.title} href={route.nav ?? "/"} aria-current={isWithin(current, route) ? "page" : undefined}>
            {route.title}
          </a>
        ))}
      </nav>
      <div class="aside">
        <a href="/docs" target="_blank" rel="noopener">
          API
        </a>
        <button type="button" class="plain" onClick={nextTheme} aria-label={`Colours: ${theme.value}. Change`}>
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

// A view of one thing belongs to the view of all of them: /runs/ID to /runs.
function isWithin(current: Route | undefined, route: Route): boolean {
  if (current?.nav !== undefined) return current === route;
  return route.nav !== undefined && route.nav !== "/" && path.value.startsWith(`${route.nav}/`);
}

function View() {
  const found = findRoute(path.value);
  const loaded = useSignal<{ route: Route; view: ComponentType<ViewProps> } | null>(null);
  const failed = useSignal<unknown>(null);
  const shown = useRef(path.value);
  const route = found?.route;

  useEffect(() => {
    document.title = route ? `${route.title} · Atelier` : "Atelier";
    failed.value = null;
    if (!route) return;
    // Whoever goes on before a view is here must not be shown it afterwards.
    let isWanted = true;
    route.load().then(
      (module) => {
        if (isWanted) loaded.value = { route, view: module.default };
      },
      (error: unknown) => {
        if (isWanted) failed.value = error;
      },
    );
    return () => {
      isWanted = false;
    };
  }, [route, failed, loaded]);

  // Whoever cannot see that the view has changed is taken to its beginning.
  useEffect(() => {
    if (shown.current === path.value) return;
    shown.current = path.value;
    document.getElementById("main")?.focus({ preventScroll: true });
  });

  if (!found) return <Nowhere />;
  if (!can(found.route.scope))
    return <Failure title="Not with this key" text={`It has not the scope "${found.route.scope}".`} />;
  if (failed.value)
    return <Failure title="This view did not load" text="Atelier may have been upgraded: load the page anew." />;
  if (loaded.value?.route !== found.route) return <p class="loading">Loading…</p>;
  const Shown = loaded.value.view;
  return <Shown name={found.name} />;
}

function Nowhere() {
  return (
    <Failure title="There is nothing here" text={`${path.value} is no view of this page.`}>
      <a class="button" href="/">
        To the gallery
      </a>
    </Failure>
  );
}
