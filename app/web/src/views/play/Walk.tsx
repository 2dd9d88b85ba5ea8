// A walk through latent space: a map of seeds with the stops on it, and the film of the way through them.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, words } from "../../api/client.ts";
import { NumberField } from "../../ui/NumberField.tsx";
import { Painted } from "../../ui/Painted.tsx";
import { change, play, ref } from "./now.ts";
import { SeedMap } from "./SeedMap.tsx";
import { addressOf, film, one } from "./wishes.ts";

/** A walk that is being changed is not filmed at every step. */
const SETTLED_MILLISECONDS = 400;
const FRAMES = [60, 120, 240, 480];
const RATES = [10, 15, 30, 60];

export function Walk() {
  return (
    <div class="walk">
      <section aria-labelledby="map-title" class="walk-map">
        <h2 id="map-title">Map of seeds</h2>
        <p class="hint">
          Click images to walk through them, and drag a stop to another image. With the keyboard: arrows move, Enter
          sets or takes away a stop, Alt with an arrow moves it.
        </p>
        <SeedMap />
        <Stops />
      </section>
      <section aria-labelledby="film-title" class="walk-film">
        <h2 id="film-title">The walk</h2>
        <Film />
        <Pace />
      </section>
    </div>
  );
}

function Stops() {
  const { stops } = play.value;
  if (!stops.length) return null;
  const move = (from: number, to: number) => {
    const next = stops.toSpliced(from, 1);
    change({ stops: next.toSpliced(to, 0, ...stops.slice(from, from + 1)) });
  };
  return (
    <ol class="stops" aria-label="Stops of the walk, in order">
      {stops.map((stop, index) => (
        <li key={`${stop}-${index}`}>
          <Painted src={addressOf(one(play.value, ref.value, stop))} alt={`Seed ${stop}`} />
          <span class="hint">{String(stop)}</span>
          <span class="row">
            <button
              type="button"
              class="plain small"
              aria-label={`Seed ${stop} earlier`}
              disabled={index === 0}
              onClick={() => move(index, index - 1)}
            >
              ←
            </button>
            <button
              type="button"
              class="plain small"
              aria-label={`Seed ${stop} later`}
              disabled={index === stops.length - 1}
              onClick={() => move(index, index + 1)}
            >
              →
            </button>
            <button
              type="button"
              class="plain small"
              aria-label={`Take seed ${stop} out of the walk`}
              onClick={() => change({ stops: stops.toSpliced(index, 1) })}
            >
              ✕
            </button>
          </span>
        </li>
      ))}
    </ol>
  );
}

function Film() {
  const wish = film(play.value, ref.value);
  const wanted = wish ? addressOf(wish, "mp4") : "";
  const shown = useSignal("");
  const error = useSignal("");
  const filmed = useSignal("");
  useEffect(() => {
    const timer = setTimeout(() => {
      shown.value = wanted;
      error.value = "";
    }, SETTLED_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [wanted, shown, error]);

  if (!wish)
    return <p class="empty hint">Choose at least two seeds on the map: the film of the way through them plays here.</p>;
  if (error.value) return <p class="error">{error.value}</p>;
  // A video element does not tell why: the service is asked once more.
  const explain = () =>
    ask(shown.value).then(
      () => (error.value = "This browser does not play MP4: take the walk along as WebP."),
      (refused: unknown) => (error.value = words(refused)),
    );
  return (
    <figure class="film" aria-busy={filmed.value !== wanted}>
      {shown.value && (
        <video
          key={shown.value}
          src={shown.value}
          aria-label={`A walk through ${play.value.stops.length} seeds, painted by ${ref.value}`}
          autoplay={!matchMedia("(prefers-reduced-motion: reduce)").matches}
          controls
          loop
          muted
          playsInline
          onLoadedData={() => (filmed.value = shown.value)}
          onError={explain}
        />
      )}
      <figcaption class="hint">
        <span role="status">{filmed.value === wanted ? "From seed to seed, and back to the first." : "Filming…"}</span>
      </figcaption>
    </figure>
  );
}

function Pace() {
  const { frames, fps } = play.value;
  return (
    <div class="row">
      <NumberField label="Frames" value={frames} among={FRAMES} onChange={(count) => change({ frames: count })} />
      <NumberField label="Frames per second" value={fps} among={RATES} onChange={(rate) => change({ fps: rate })} />
    </div>
  );
}
