// The images of one seed as one picture; a single image fills the stage.

import { useSignal } from "@preact/signals";
import { Painted } from "../../ui/Painted.tsx";
import { Favour } from "./Favour.tsx";
import { hrefWith, play, ref } from "./now.ts";
import { addressOf, grid } from "./wishes.ts";

export function Grid() {
  const painter = useSignal("");
  const { n, seed } = play.value;
  return (
    <figure class="grid-picture">
      <Painted
        src={addressOf(grid(play.value, ref.value))}
        alt={`${n === 1 ? "An image" : `${n} images`} painted by ${ref.value} from seed ${seed}`}
        onPainted={(headers) => {
          painter.value = headers.get("X-Atelier-Model") ?? "";
        }}
      />
      <figcaption class="row">
        <span aria-live="polite">
          {painter.value && `${painter.value}, seed ${seed}`}
          {n > 1 && ": its first image is the one that walks and variations start from."}
        </span>
        <Favour seed={seed} />
        {n > 1 && (
          <a class="button small" href={hrefWith({ n: 1 })}>
            A single one
          </a>
        )}
      </figcaption>
    </figure>
  );
}
