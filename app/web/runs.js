// The runs: a card each, kept up to date by the event stream; and the form that starts one.

import { all, ask, get, post, show } from "./api.js";
import { listModels, paint } from "./samples.js";

const list = document.getElementById("run-list");
const template = document.getElementById("run-card");
const form = document.getElementById("run-form");
const live = document.getElementById("live");
const SHOWN = 20;
const CHART_MILLISECONDS = 10_000;
const PICTURE_MILLISECONDS = 2_000;
const ENDED = ["succeeded", "failed", "cancelled"];

const cards = new Map();

class Card {
  constructor(run) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.part = (name) => this.element.querySelector(`.${name}`);
    this.details = this.element.querySelector("details");
    this.details.addEventListener("toggle", () => this.refreshChart());
    this.element.addEventListener("click", (event) => this.act(event.target.dataset?.act));
    this.charted = this.pictured = 0;
    this.set(run);
    this.links();
    this.findSnapshot();
  }

  set(run) {
    this.run = run;
    const state = this.part("state");
    state.textContent = run.wanted ? `${run.state}, to be ${run.wanted}` : run.state;
    state.dataset.state = run.state;
    this.part("model").textContent = run.model;
    const place = run.queue_position === null ? "" : ` · ${run.queue_position}. in the queue`;
    this.part("origin").textContent = `${run.preset} on ${run.dataset}${place}${run.published.length ? ` · published ${run.published.join(", ")}` : ""}`;
    const can = { pause: ["queued", "running"], resume: ["paused", "failed", "cancelled"], cancel: ["queued", "running", "paused"] };
    for (const [act, states] of Object.entries(can)) {
      this.element.querySelector(`[data-act="${act}"]`).hidden = !states.includes(run.state);
    }
    this.setHealth(run.health);
    this.setFigures(run.progress, run.latest);
    show(this.part("error"), run.error);
    if (ENDED.includes(run.state)) this.refreshChart(true);
  }

  setHealth(health) {
    const well = !health.verdict || health.verdict === "healthy";
    show(this.part("health"), well ? "" : `${health.verdict.replaceAll("_", " ")}: ${health.reasons.join("; ")}`);
  }

  setFigures(progress, latest) {
    const bar = this.element.querySelector("progress");
    bar.value = progress.fraction;
    bar.setAttribute("aria-label", `${Math.round(progress.fraction * 100)} % of ${this.run.model}'s run`);
    const running = this.run.state === "running";
    const figures = [
      `${round(progress.kimg)}${progress.total_kimg ? ` of ${round(progress.total_kimg)}` : ""} kimg`,
      `epoch ${round(progress.epoch)}`,
      running && progress.images_per_second && `${round(progress.images_per_second)} images/s`,
      running && progress.eta_seconds && `${duration(progress.eta_seconds)} left`,
      latest.loss_d !== null && `D ${latest.loss_d.toFixed(3)}`,
      latest.loss_g !== null && `G ${latest.loss_g.toFixed(3)}`,
      latest.d_real !== null && `D(x) ${latest.d_real.toFixed(2)}`,
      latest.d_fake !== null && `D(G(z)) ${latest.d_fake.toFixed(2)}`,
    ];
    this.part("figures").textContent = figures.filter(Boolean).join(" · ");
  }

  tick(tick) {
    this.run.progress = tick;
    this.run.latest = tick;
    this.setFigures(tick, tick);
    this.refreshChart();
  }

  async findSnapshot() {
    const snapshots = await all(`/train/${this.run.id}/snapshots`).catch(() => []);
    if (snapshots.length) this.picture(snapshots.at(-1).kimg);
  }

  picture(kimg) {
    if (Date.now() - this.pictured < PICTURE_MILLISECONDS) return;
    this.pictured = Date.now();
    const picture = this.part("snapshot");
    picture.src = `/train/${this.run.id}/snapshots/${kimg}.png`;
    picture.alt = `What ${this.run.model} paints at ${round(kimg)} kimg`;
    picture.hidden = false;
  }

  async refreshChart(now = false) {
    if (!this.details.open || (!now && Date.now() - this.charted < CHART_MILLISECONDS)) return;
    this.charted = Date.now();
    const chart = this.part("losses");
    try {
      // Fetched, not linked: a browser asks only once for an image that a page shows already.
      const answer = await ask(`/train/${this.run.id}/losses.png`);
      URL.revokeObjectURL(chart.src);
      chart.src = URL.createObjectURL(await answer.blob());
      chart.alt = `The loss curves of ${this.run.model}`;
    } catch (error) {
      chart.alt = error.message;
    }
  }

  published(version) {
    const name = `${version.model}@${version.version}`;
    if (!this.run.published.includes(name)) this.set({ ...this.run, published: [...this.run.published, name] });
  }

  links() {
    const files = { "loss chart": "losses.png", "time-lapse": "timelapse", "ticks (CSV)": "ticks?format=csv", log: "log" };
    this.part("links").replaceChildren(
      ...Object.entries(files).map(([text, path]) => {
        const link = document.createElement("a");
        link.href = `/train/${this.run.id}/${path}`;
        link.textContent = text;
        return link;
      }),
    );
  }

  async act(act) {
    if (!act) return;
    try {
      this.set(await post(`/train/${this.run.id}/${act}`));
    } catch (error) {
      show(this.part("error"), error.message);
    }
  }
}

function round(number) {
  const digits = number >= 100 ? 0 : number >= 10 ? 1 : 2;
  return number.toLocaleString("en", { maximumFractionDigits: digits });
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function put(run) {
  const card = cards.get(run.id);
  if (card) return card.set(run);
  const added = new Card(run);
  cards.set(run.id, added);
  // Ids sort by time: the newest run comes first.
  const older = [...list.children].find((element) => element.dataset.id < run.id);
  added.element.dataset.id = run.id;
  list.insertBefore(added.element, older ?? null);
  document.getElementById("no-runs").hidden = true;
}

function listen() {
  const source = new EventSource("/events");
  const on = (type, handle) => source.addEventListener(type, (event) => handle(JSON.parse(event.data)));
  source.addEventListener("open", () => {
    live.textContent = "";
    refresh();
  });
  source.addEventListener("error", () => (live.textContent = "The connection is gone; trying again…"));
  on("state", (data) => data.preset && put(data));
  on("tick", (data) => cards.get(data.run)?.tick(data));
  on("health", (data) => cards.get(data.run)?.setHealth(data));
  on("snapshot", (data) => cards.get(data.run)?.picture(data.kimg));
  on("published", (data) => cards.get(data.run)?.published(data));
  on("model", () => {
    listModels();
    paint();
  });
}

async function refresh() {
  const { items } = await get(`/train?limit=${SHOWN}`);
  items.forEach(put);
  document.getElementById("no-runs").hidden = cards.size > 0;
}

async function fillForm() {
  const [presets, datasets] = await Promise.all([all("/presets"), all("/datasets")]);
  const { preset, dataset } = form.elements;
  const named = (item) => (item.state === "remote" ? `${item.title} (to be downloaded)` : item.title);
  preset.replaceChildren(...presets.map((item) => new Option(item.title, item.name)));
  document.getElementById("datasets").replaceChildren(...datasets.map((item) => new Option(named(item), item.name)));
  const describe = () => {
    const chosen = presets.find((item) => item.name === preset.value);
    document.getElementById("preset-text").textContent = chosen?.description ?? "";
    dataset.placeholder = chosen?.dataset ?? "folder:PATH";
    dataset.required = !chosen?.dataset;
    form.elements.model.placeholder = chosen?.model ?? "";
    form.elements.epochs.placeholder = chosen?.training.epochs ?? "";
  };
  preset.addEventListener("change", describe);
  preset.value = presets.some((item) => item.name === "mlp-mnist") ? "mlp-mnist" : preset.value;
  describe();
}

async function submit(event) {
  event.preventDefault();
  const values = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  if (values.epochs) values.epochs = Number(values.epochs);
  const error = document.getElementById("run-error");
  try {
    put(await post("/train", values));
    show(error, "");
  } catch (refused) {
    show(error, refused.message);
  }
}

export function start() {
  form.addEventListener("submit", submit);
  fillForm().catch((error) => show(document.getElementById("run-error"), error.message));
  listen();
}
