// Snapshots of a run: the same latents over time beside real images, by hand or as an animation.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { buildUrl, call } from "../../api/client.ts";
import type { Run, Snapshot } from "../../api/types.ts";
import { round } from "../../format.ts";
import { attempt, notify } from "../../notices.tsx";
import { bestSnapshot, isLowerBetter, primaryScore } from "../../stores/scores.ts";
import { ScoreTitle } from "../../ui/Scores.tsx";
import type { RunHistory } from "./history.ts";

const FORMATS = ["webp", "gif", "mp4"] as const;
const FRAME_MILLISECONDS = 120;
/** Time per snapshot where the system asks for reduced motion. */
const REDUCED_MOTION_MILLISECONDS = 1500;

export function Snapshots({ run, history }: { run: Run; history: RunHistory }) {
  const chosen = useSignal<number | null>(null);
  const playing = useSignal(false);
  const snapshots = history.snapshots.value ?? [];
  const last = snapshots.length - 1;
  const index = Math.min(chosen.value ?? last, last);
  const snapshot = snapshots[index];
  const best = useComputed(() => bestSnapshot(history.snapshots.value ?? []));

  useEffect(() => {
    if (!playing.value) return;
    const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const timer = setInterval(
      () => {
        const next = (chosen.value ?? last) + 1;
        if (next < last) chosen.value = next;
        else {
          chosen.value = null;
          playing.value = false;
        }
      },
      reducedMotion ? REDUCED_MOTION_MILLISECONDS : FRAME_MILLISECONDS,
    );
    return () => clearInterval(timer);
  }, [playing.value, last, chosen, playing]);

  // Load the next picture before it is shown.
  useEffect(() => {
    const next = snapshots[index + 1];
    if (playing.value && next) new Image().src = next.picture;
  });

  if (!snapshot) {
    return (
      <section class="snapshots">
        <h2>Snapshots</h2>
        <p class="hint">
          {history.error.value ||
            (run.state === "queued"
              ? "The first snapshot is made when the run starts."
              : "Waiting for the first snapshot…")}
        </p>
      </section>
    );
  }

  function play() {
    if (playing.value) {
      playing.value = false;
      return;
    }
    if (index === last) chosen.value = 0;
    playing.value = true;
  }

  return (
    <section class="snapshots">
      <div class="pair">
        <figure>
          <figcaption>
            Generated at {round(snapshot.kimg)} kimg <span class="hint">the same latents in every snapshot</span>
          </figcaption>
          <img class="picture" src={snapshot.picture} alt={`Images generated at ${round(snapshot.kimg)} kimg`} />
        </figure>
        <figure>
          <figcaption>
            Real <span class="hint">from the training data, as prepared for the run</span>
          </figcaption>
          <img
            class="picture"
            src={buildUrl("GET /train/{run_id}/real.png", { path: { run_id: run.id } })}
            alt={`Real images of ${run.dataset}`}
          />
        </figure>
      </div>
      <div class="snapshot-controls">
        <button type="button" onClick={play} disabled={last < 1}>
          {playing.value ? "Pause" : "Play"}
        </button>
        <input
          type="range"
          aria-label="Snapshot"
          min={0}
          max={last}
          value={index}
          aria-valuetext={`${round(snapshot.kimg)} kimg, ${index + 1} of ${last + 1}`}
          onInput={(event) => {
            const value = event.currentTarget.valueAsNumber;
            playing.value = false;
            chosen.value = value === last ? null : value;
          }}
        />
        <output>
          {index + 1} of {last + 1}
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
        <span class="row downloads">
          <span class="hint">Animation as</span>
          {FORMATS.map((format) => (
            <a
              key={format}
              class="button small"
              href={buildUrl("GET /train/{run_id}/timelapse", { path: { run_id: run.id }, query: { format } })}
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
  const found = primaryScore(snapshot.scores);
  if (!found) return null;
  return (
    <span>
      <ScoreTitle name={found.name} lower={isLowerBetter(found.score)} /> <strong>{round(found.score.value)}</strong>
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
      const published = await call("POST /train/{run_id}/publish", { path, body: { kimg: snapshot.kimg } });
      notify(
        `${published.model}@${published.version} ${published.already ? "was published from this snapshot before" : "is published"}.`,
      );
    });
    busy.value = false;
  }

  return (
    <button
      type="button"
      disabled={!snapshot.publishable || busy.value}
      title={snapshot.publishable ? undefined : "The weights of this snapshot are not kept"}
      onClick={publish}
    >
      Publish this snapshot as a version
    </button>
  );
}
