// The same latents from snapshot to snapshot, beside real images: to be gone through by hand, or shown as a film.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { address, call } from "../../api/client.ts";
import type { Run, Snapshot } from "../../api/types.ts";
import { round } from "../../figures.ts";
import { attempt, notify } from "../../notices.tsx";
import { bestOf, decisive } from "../../stores/scores.ts";
import { ScoreName } from "../../ui/ScoreName.tsx";
import type { History } from "./history.ts";

const FORMATS = ["webp", "gif", "mp4"] as const;
const FRAME_MILLISECONDS = 120;
/** Who wants less motion gets a slide show. */
const SLIDE_MILLISECONDS = 1500;

export function Film({ run, history }: { run: Run; history: History }) {
  const chosen = useSignal<number | null>(null);
  const playing = useSignal(false);
  const snapshots = history.snapshots.value ?? [];
  const last = snapshots.length - 1;
  const at = Math.min(chosen.value ?? last, last);
  const snapshot = snapshots[at];
  const best = useComputed(() => bestOf(history.snapshots.value ?? []));

  useEffect(() => {
    if (!playing.value) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const timer = setInterval(
      () => {
        const next = (chosen.value ?? last) + 1;
        if (next < last) chosen.value = next;
        else {
          chosen.value = null;
          playing.value = false;
        }
      },
      calm ? SLIDE_MILLISECONDS : FRAME_MILLISECONDS,
    );
    return () => clearInterval(timer);
  }, [playing.value, last, chosen, playing]);

  // The next picture is there before it is shown.
  useEffect(() => {
    const next = snapshots[at + 1];
    if (playing.value && next) new Image().src = next.picture;
  });

  if (!snapshot) {
    return (
      <section class="film">
        <h2>Snapshots</h2>
        <p class="hint">
          {history.error.value ||
            (run.state === "queued"
              ? "It has not begun: the first snapshot comes with its start."
              : "The first one is on its way…")}
        </p>
      </section>
    );
  }

  function play() {
    if (playing.value) {
      playing.value = false;
      return;
    }
    if (at === last) chosen.value = 0;
    playing.value = true;
  }

  return (
    <section class="film">
      <div class="pair">
        <figure>
          <figcaption>
            Generated at {round(snapshot.kimg)} kimg <span class="hint">the same latents in every snapshot</span>
          </figcaption>
          <img class="picture" src={snapshot.picture} alt={`What it paints at ${round(snapshot.kimg)} kimg`} />
        </figure>
        <figure>
          <figcaption>
            Real <span class="hint">what it learns from, as it sees it</span>
          </figcaption>
          <img
            class="picture"
            src={address("GET /train/{run_id}/real.png", { path: { run_id: run.id } })}
            alt={`Real images of ${run.dataset}`}
          />
        </figure>
      </div>
      <div class="reel">
        <button type="button" onClick={play} disabled={last < 1}>
          {playing.value ? "Pause" : "Play"}
        </button>
        <input
          type="range"
          aria-label="Snapshot"
          min={0}
          max={last}
          value={at}
          aria-valuetext={`${round(snapshot.kimg)} kimg, ${at + 1} of ${last + 1}`}
          onInput={(event) => {
            const value = event.currentTarget.valueAsNumber;
            playing.value = false;
            chosen.value = value === last ? null : value;
          }}
        />
        <output>
          {at + 1} of {last + 1}
        </output>
      </div>
      <div class="row">
        <Publish run={run} snapshot={snapshot} />
        {best.value && best.value !== snapshot && (
          <button type="button" onClick={() => (chosen.value = snapshots.indexOf(best.value as Snapshot))}>
            Show the best
          </button>
        )}
        <SnapshotScore snapshot={snapshot} best={best.value} />
        <span class="row films">
          <span class="hint">The film as</span>
          {FORMATS.map((format) => (
            <a
              key={format}
              class="button small"
              href={address("GET /train/{run_id}/timelapse", { path: { run_id: run.id }, query: { format } })}
              download={`${run.model}.${format}`}
            >
              {format}
            </a>
          ))}
        </span>
      </div>
    </section>
  );
}

function SnapshotScore({ snapshot, best }: { snapshot: Snapshot; best: Snapshot | null }) {
  const found = decisive(snapshot.scores);
  if (!found) return null;
  return (
    <span>
      <ScoreName name={found.name} lower={found.score.lower_is_better !== false} />{" "}
      <strong>{round(found.score.value)}</strong>
      {best?.kimg === snapshot.kimg && <span class="best"> the best so far</span>}
    </span>
  );
}

function Publish({ run, snapshot }: { run: Run; snapshot: Snapshot }) {
  const busy = useSignal(false);

  async function publish() {
    busy.value = true;
    await attempt(async () => {
      const path = { run_id: run.id };
      const made = await call("POST /train/{run_id}/publish", { path, body: { kimg: snapshot.kimg } });
      notify(
        `${made.model}@${made.version} ${made.already ? "was published from this snapshot before" : "is published"}.`,
      );
    });
    busy.value = false;
  }

  return (
    <button
      type="button"
      disabled={!snapshot.publishable || busy.value}
      title={snapshot.publishable ? undefined : "Of most snapshots only the picture is kept"}
      onClick={publish}
    >
      Publish this snapshot as version
    </button>
  );
}
