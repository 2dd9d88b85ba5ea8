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
import { loadSession } from "./session.ts";
import { applyTheme } from "./theme.ts";

applyTheme();
followLinks((path) => findRoute(path) !== null);
whenUnauthorized(() => void loadSession());
render(<App />, document.getElementById("studio") ?? document.body);
loadSession().catch(warn);
