// Starts the page.

import { render } from "preact";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/controls.css";
import "./styles/parts.css";
import { whenUnauthorized } from "./api/client.ts";
import { App } from "./app.tsx";
import { warn } from "./notices.tsx";
import { followLinks } from "./router.ts";
import { findRoute } from "./routes.ts";
import { beginSession, loadSession } from "./session.ts";
import { applyTheme } from "./theme.ts";

applyTheme();
keepDropped();
followLinks((path) => findRoute(path) !== null);
whenUnauthorized(() => void loadSession().catch(warn));
render(<App />, document.getElementById("studio") ?? document.body);
void beginSession();

// A file that misses the place for it must not take the page's place.
function keepDropped(): void {
  for (const type of ["dragover", "drop"] as const) {
    addEventListener(type, (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
  }
}
