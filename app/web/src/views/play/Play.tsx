// Playing with a model: seeds, grids, walks and variations; every state is an address.

import "./play.css";
import { useEffect } from "preact/hooks";
import { words } from "../../api/client.ts";
import { defaultError, keepDefault, keepModels, models, modelsError } from "../../stores/models.ts";
import { Failure } from "../../ui/Failure.tsx";
import { Controls } from "./Controls.tsx";
import { Grid } from "./Grid.tsx";
import { Near } from "./Near.tsx";
import { hrefWith, play, ref } from "./now.ts";
import { Seeds } from "./Seeds.tsx";
import { Shelf } from "./Shelf.tsx";
import { visit } from "./shelf.ts";
import type { View } from "./state.ts";
import { Take } from "./Take.tsx";
import { Walk } from "./Walk.tsx";
import { addressOf, one } from "./wishes.ts";

const TABS: Record<View, string> = { seeds: "Seeds", grid: "Grid", walk: "Walk", near: "Variations" };
const SHOWN = { seeds: Seeds, grid: Grid, walk: Walk, near: Near };
/** Who stays so long has been here. */
const VISIT_MILLISECONDS = 2500;

export default function Play() {
  keepModels();
  keepDefault();
  useVisits();
  if (models.value === null && modelsError.value !== null) {
    return <Failure title="The models cannot be listed" text={words(modelsError.value)} />;
  }
  const { view } = play.value;
  const Shown = SHOWN[view];
  return (
    <>
      <div class="view-head">
        <h1>Play</h1>
        <nav class="choice" aria-label="Ways to play">
          {(Object.keys(TABS) as View[]).map((tab) => (
            <a key={tab} href={hrefWith({ view: tab })} aria-current={tab === view ? "page" : undefined}>
              {TABS[tab]}
            </a>
          ))}
        </nav>
      </div>
      <div class="play">
        <div class="stage">{ref.value ? <Shown /> : <NotYet />}</div>
        <aside class="panel" aria-label="What to paint">
          <Controls />
          <Take />
        </aside>
      </div>
      <Shelf />
    </>
  );
}

function NotYet() {
  if (play.value.model !== "" || defaultError.value === null) return <p class="loading">Loading…</p>;
  return (
    <p class="error" role="alert">
      {words(defaultError.value)} Choose a model that is there.
    </p>
  );
}

function useVisits(): void {
  const href = hrefWith({});
  useEffect(() => {
    const timer = setTimeout(() => {
      if (!ref.value) return;
      const { view, seed, pick, stops } = play.value;
      const shown = view === "walk" ? (stops[0] ?? seed) : (pick ?? seed);
      const what = view === "walk" ? `walk through ${stops.length}` : `${TABS[view].toLowerCase()}, seed ${shown}`;
      visit({ href, picture: addressOf(one(play.value, ref.value, shown)), title: `${ref.value}: ${what}` });
    }, VISIT_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [href]);
}
