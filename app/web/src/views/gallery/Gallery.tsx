// The Gallery view: each model with live images, its versions, and the one that is served.

import "./gallery.css";
import { errorMessage } from "../../api/client.ts";
import { currentUrl, updateQuery } from "../../router.ts";
import { hasScope } from "../../session.ts";
import { models, modelsError, trackModels } from "../../stores/models.ts";
import { Failure } from "../../ui/parts.tsx";
import { Details } from "./Details.tsx";
import { ModelItem } from "./ModelItem.tsx";

export default function Gallery() {
  trackModels();
  if (models.value === null && modelsError.value !== null) {
    return <Failure title="The models cannot be listed" text={errorMessage(modelsError.value)} />;
  }
  if (models.value === null) return <p class="loading">Loading…</p>;
  return (
    <>
      <div class="view-head">
        <h1>Gallery</h1>
        {hasScope("train") && (
          <a class="button primary" href="/runs/new">
            Train a model
          </a>
        )}
      </div>
      <ul class="models">
        {models.value.map((model) => (
          <ModelItem key={model.name} model={model} />
        ))}
        {models.value.every((model) => model.read_only) && hasScope("train") && <Welcome />}
      </ul>
      <SelectedVersion />
    </>
  );
}

// Shown beside the models that ship, as long as there are no others.
function Welcome() {
  return (
    <li class="welcome">
      <h2>Train your own model</h2>
      <ol>
        <li>
          <h3>
            <a href="/data">Upload images</a>
          </h3>
          <p>
            A folder as zip or tar, from a few hundred to tens of thousands of images. A report lists the unusable ones
            and the reasons.
          </p>
        </li>
        <li>
          <h3>
            <a href="/runs/new">Train a model</a>
          </h3>
          <p>One slider from quick to best. The digits that ship with Atelier show first shapes within minutes.</p>
        </li>
        <li>
          <h3>
            <a href="/play">Play with it</a>
          </h3>
          <p>Seeds, walks between them, and every image as a file. Try it now with the generator shown here.</p>
        </li>
      </ol>
    </li>
  );
}

// `?show=digits@3` opens a version's details.
function SelectedVersion() {
  const [name, number] = (currentUrl.value.query.get("show") ?? "").split("@");
  const model = models.value?.find((known) => known.name === name);
  const version = model?.versions.find((known) => String(known.version) === number);
  if (!model || !version) return null;
  return <Details key={version.ref} model={model} version={version} onClose={() => updateQuery({ show: null })} />;
}
