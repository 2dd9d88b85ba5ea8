// One model: a live picture of the version that is served, and a strip of all versions.

import { useSignal } from "@preact/signals";
import { address } from "../../api/client.ts";
import type { Model, Version } from "../../api/types.ts";
import { plural } from "../../figures.ts";
import { attempt } from "../../notices.tsx";
import { place, withQuery } from "../../router.ts";
import { can } from "../../session.ts";
import { aliasesOf, BEST, LATEST, previous, served } from "../../stores/versions.ts";
import { Chip } from "../../ui/Chip.tsx";
import { Painted } from "../../ui/Painted.tsx";
import { promote } from "./actions.ts";
import { Scores } from "./Scores.tsx";

const ACROSS = 5;

export function ModelCard({ model }: { model: Model }) {
  const seed = useSignal(0);
  const now = served(model);
  return (
    <li class="model sheet">
      <div class="model-picture">
        {now ? (
          <Painted
            src={address("GET /samples", { query: { model: now.ref, n: ACROSS * ACROSS, seed: seed.value } })}
            alt={`${ACROSS * ACROSS} images painted by ${now.ref} from seed ${seed.value}`}
          />
        ) : (
          <p class="picture refused hint">No version of this model is whole yet.</p>
        )}
      </div>
      <div class="model-text">
        <Heading model={model} now={now} />
        {now && <Scores model={model} version={now} />}
        <div class="row">
          {now && (
            <a class="button primary" href={`/play?model=${model.name}&seed=${seed.value}`}>
              Play
            </a>
          )}
          {now && (
            <button type="button" onClick={() => seed.value++}>
              Other images
            </button>
          )}
        </div>
        <Serving model={model} now={now} />
      </div>
      <Versions model={model} now={now} />
    </li>
  );
}

function Heading({ model, now }: { model: Model; now: Version | null }) {
  return (
    <div>
      <h2>{model.name}</h2>
      <p class="hint">
        {now ? `Version ${now.version} is served` : "Nothing is served"} · {plural(model.versions.length, "version")}
        {model.read_only && " · ships with Atelier"}
      </p>
    </div>
  );
}

// One click each: the newest may be promoted while another is served, and one may go back where there is a version before.
function Serving({ model, now }: { model: Model; now: Version | null }) {
  if (!now || model.read_only || !can("admin")) return null;
  const latest = model.aliases[LATEST];
  const before = previous(model);
  if (!before && latest === now.version) return null;
  return (
    <div class="row">
      {latest !== undefined && latest !== now.version && (
        <button type="button" class="small" onClick={() => attempt(() => promote(model, latest))}>
          Promote {latest}
        </button>
      )}
      {before && (
        <button type="button" class="small" onClick={() => attempt(() => promote(model, before.version))}>
          Roll back to {before.version}
        </button>
      )}
    </div>
  );
}

function Versions({ model, now }: { model: Model; now: Version | null }) {
  return (
    <ol class="versions" aria-label={`Versions of ${model.name}, newest first`} reversed>
      {model.versions.toReversed().map((version) => (
        <li key={version.version} data-served={version === now}>
          <a href={withQuery(place.value, { show: version.ref })}>
            {version.state === "whole" ? (
              <img
                class="picture"
                src={`/models/${version.ref}/preview.png`}
                alt=""
                loading="lazy"
                width="88"
                height="88"
              />
            ) : (
              <span class="picture refused">{version.state}</span>
            )}
            <span class="version-name">
              <span class="unseen">{model.name} version </span>
              {version.version}
            </span>
            {aliasesOf(model, version.version).map((alias) => (
              <Chip key={alias} {...(alias === BEST ? { tone: "accent" as const } : {})}>
                {alias}
              </Chip>
            ))}
            {version.state !== "whole" && (
              <Chip tone={version.state === "broken" ? "bad" : "warn"}>{version.state}</Chip>
            )}
          </a>
        </li>
      ))}
    </ol>
  );
}
