// The grid and its controls, and the list of models.

import { all, ask } from "./api.js";

const form = document.getElementById("sample-form");
const grid = document.getElementById("grid");
const caption = document.getElementById("grid-caption");
const models = document.getElementById("models");
const MAX_SEED = 2n ** 63n - 1n;

let latest = 0;

export async function paint() {
  const turn = ++latest;
  const { model, n, seed } = form.elements;
  const query = new URLSearchParams({ n: n.value, seed: seed.value, ...(model.value && { model: model.value }) });
  grid.classList.add("busy");
  try {
    const answer = await ask(`/samples?${query}`);
    const picture = URL.createObjectURL(await answer.blob());
    if (turn !== latest) return URL.revokeObjectURL(picture);
    URL.revokeObjectURL(grid.src);
    grid.src = picture;
    const version = answer.headers.get("X-Atelier-Model");
    grid.alt = `${n.value} images painted by ${version} from seed ${seed.value}`;
    caption.replaceChildren(`${version}, seed ${seed.value}: `, link(`/samples?${query}&scale=4`, "as a picture"));
  } catch (error) {
    if (turn === latest) caption.textContent = error.message;
  } finally {
    if (turn === latest) grid.classList.remove("busy");
  }
}

export async function listModels() {
  const items = await all("/models");
  models.replaceChildren(...items.map(card));
  const select = form.elements.model;
  const chosen = select.value;
  select.replaceChildren(new Option("default", ""), ...items.map((item) => new Option(item.name)));
  select.value = items.some((item) => item.name === chosen) ? chosen : "";
}

function card(model) {
  const whole = model.versions.filter((version) => version.state === "whole");
  const item = document.createElement("li");
  item.className = "card";
  if (whole.length) {
    const picture = new Image(56, 56);
    picture.alt = "";
    picture.src = `/models/${whole.at(-1).ref}/preview.png`;
    item.append(picture);
  }
  const text = document.createElement("div");
  const name = document.createElement("h3");
  name.append(link(`/models/${model.name}`, model.name));
  const aliases = Object.entries(model.aliases).map(([alias, number]) => `${alias} is ${number}`);
  const hint = document.createElement("p");
  hint.className = "hint";
  const count = `${whole.length} version${whole.length === 1 ? "" : "s"}`;
  const unusable = model.versions.filter((version) => version.state !== "whole");
  hint.textContent = [count, ...aliases, ...unusable.map((v) => `${v.ref} is ${v.state}: ${v.reason}`)].join(" · ");
  text.append(name, hint);
  item.append(text);
  return item;
}

function link(address, text) {
  const element = document.createElement("a");
  element.href = address;
  element.textContent = text;
  return element;
}

function step(by) {
  const seed = form.elements.seed;
  if (by === "random") {
    seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
  } else {
    const next = BigInt(seed.value || 0) + BigInt(by);
    seed.value = next < 0n ? MAX_SEED : next > MAX_SEED ? 0n : next;
  }
  paint();
}

export function start() {
  form.elements.seed.value = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => form.reportValidity() && paint());
  form.addEventListener("click", (event) => {
    const by = event.target.dataset?.step;
    if (by) step(by);
  });
  paint();
  listModels().catch((error) => (models.textContent = error.message));
}
