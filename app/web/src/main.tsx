// Entry point of the page.

import { render } from "preact";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/controls.css";
import "./styles/parts.css";
import { onUnauthorized } from "./api/client.ts";
import { App } from "./app.tsx";
import { warn } from "./notices.tsx";
import { interceptLinks } from "./router.ts";
import { findRoute } from "./routes.ts";
import { loadSession, startSession } from "./session.ts";
import { applyTheme } from "./theme.ts";

applyTheme();
preventFileDrops();
interceptLinks((path) => findRoute(path) !== null);
onUnauthorized(() => void loadSession().catch(warn));
render(<App />, document.getElementById("studio") ?? document.body);
void startSession();

// A file that is dropped beside the upload area would otherwise replace the page.
function preventFileDrops(): void {
  for (const type of ["dragover", "drop"] as const) {
    addEventListener(type, (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
  }
}
