// Starts the page: signs in where that is needed, then shows what the key allows.

import { ask, get, post, show, whenUnauthorized } from "./api.js";
import * as runs from "./runs.js";
import * as samples from "./samples.js";

const dialog = document.getElementById("sign-in");
const signOut = document.getElementById("sign-out");

function begin(session) {
  signOut.hidden = !session.required;
  document.getElementById("samples").hidden = !session.scopes.includes("sample");
  document.getElementById("runs").hidden = !session.scopes.includes("train");
  if (session.scopes.includes("sample")) samples.start();
  if (session.scopes.includes("train")) runs.start();
}

dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const error = document.getElementById("sign-in-error");
  try {
    await post("/session", { key: event.target.elements.key.value });
    location.reload();
  } catch (refused) {
    show(error, refused.message);
  }
});

dialog.addEventListener("cancel", (event) => event.preventDefault());

signOut.addEventListener("click", async () => {
  await ask("/session", { method: "DELETE" });
  location.reload();
});

whenUnauthorized(() => dialog.open || dialog.showModal());

const session = await get("/session");
if (session.scopes.length) begin(session);
else dialog.showModal();
