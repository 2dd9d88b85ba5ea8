// The models: what each paints now, its versions, and which of them is served.

import "./gallery.css";
import { words } from "../../api/client.ts";
import { patchQuery, place } from "../../router.ts";
import { can } from "../../session.ts";
import { keepModels, models, modelsError } from "../../stores/models.ts";
import { Failure } from "../../ui/Failure.tsx";
import { Details } from "./Details.tsx";
import { ModelCard } from "./ModelCard.tsx";

export default function Gallery() {
  keepModels();
  if (models.value === null && modelsError.value !== null) {
    return <Failure title="The models cannot be listed" text={words(modelsError.value)} />;
  }
  if (models.value === null) return <p class="loading">Loading…</p>;
  return (
    <>
      <div class="view-head">
        <h1>Gallery</h1>
        {can("train") && (
          <a class="button primary" href="/runs/new">
            Train a model
          </a>
        )}
      </div>
      <ul class="models">
        {models.value.map((model) => (
          <ModelCard key={model.name} model={model} />
        ))}
        {models.value.every((model) => model.read_only) && can("train") && <Welcome />}
      </ul>
      <Shown />
    </>
  );
}

// Beside the generator that ships, as long as there is no other.
function Welcome() {
  return (
    <li class="welcome">
      <h2>Make one of your own</h2>
      <ol>
        <li>
          <h3>
            <a href="/data">Bring images</a>
          </h3>
          <p>
            A folder as zip or tar, a few hundred or tens of thousands. You are told which of them are unusable, and
            why.
          </p>
        </li>
        <li>
          <h3>
            <a href="/runs/new">Train a model</a>
          </h3>
          <p>
            One dial from quick to best. Or begin with the digits that ship: the first shapes appear within minutes.
          </p>
        </li>
        <li>
          <h3>
            <a href="/play">Play with it</a>
          </h3>
          <p>
            Try the generator beside this one already: its seeds, the ways between them, and every picture as a file.
          </p>
        </li>
      </ol>
    </li>
  );
}

// `?show=digits@3` opens a version's details.
function Shown() {
  const [name, number] = (place.value.query.get("show") ?? "").split("@");
  const model = models.value?.find((known) => known.name === name);
  const version = model?.versions.find((known) => String(known.version) === number);
  if (!model || !version) return null;
  return <Details key={version.ref} model={model} version={version} onClose={() => patchQuery({ show: null })} />;
}
