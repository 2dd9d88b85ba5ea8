// Everything about one version: where it comes from, how it scored, its files, its aliases; and what can be done with it.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { words } from "../../api/client.ts";
import type { Manifest, Model, Version } from "../../api/types.ts";
import { bytes, moment, plural, round } from "../../figures.ts";
import { attempt } from "../../notices.tsx";
import { can } from "../../session.ts";
import { manifestOf } from "../../stores/models.ts";
import { aliasesOf, BEST, heldBy, LATEST, served } from "../../stores/versions.ts";
import { Chip } from "../../ui/Chip.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { deleteAlias, deleteVersion, point, promote } from "./actions.ts";
import { Card } from "./Card.tsx";
import { Scores } from "./Scores.tsx";

interface Props {
  model: Model;
  version: Version;
  onClose: () => void;
}

export function Details({ model, version, onClose }: Props) {
  const manifest = useSignal<Manifest | null>(null);
  const error = useSignal("");
  useEffect(() => {
    if (version.state !== "whole") return;
    manifestOf(model.name, version.version).then(
      (found) => {
        manifest.value = found;
      },
      (refused: unknown) => {
        error.value = words(refused);
      },
    );
  }, [model.name, version.version, version.state, manifest, error]);

  const whole = version.state === "whole";
  return (
    <Dialog title={`${model.name}, version ${version.version}`} class="drawer" onClose={onClose}>
      {whole ? (
        <img
          class="picture details-picture"
          src={`/models/${version.ref}/preview.png`}
          alt={`What ${version.ref} paints`}
        />
      ) : (
        <p class="error">
          This version is {version.state}: {version.reason}
        </p>
      )}
      {whole && (
        <div class="row">
          <a class="button primary" href={`/play?model=${version.ref}`}>
            Play
          </a>
          <Promote model={model} version={version} />
          <a
            class="button"
            href={`/models/${version.ref}/generator.safetensors`}
            download={`${version.ref}.safetensors`}
          >
            Download weights
          </a>
        </div>
      )}
      <Aliases model={model} version={version} />
      <section aria-labelledby="scores-title">
        <h3 id="scores-title">Scores</h3>
        <Scores model={model} version={version} full />
      </section>
      {error.value && <p class="error">{error.value}</p>}
      {manifest.value && <Origin manifest={manifest.value} />}
      {manifest.value && <Card manifest={manifest.value} />}
      {can("admin") && <Deletion model={model} version={version} onDeleted={onClose} />}
    </Dialog>
  );
}

function Promote({ model, version }: { model: Model; version: Version }) {
  if (!can("admin") || model.read_only) return null;
  if (served(model)?.version === version.version && model.aliases[BEST] === version.version) {
    return <Chip tone="accent">served</Chip>;
  }
  return (
    <button type="button" onClick={() => attempt(() => promote(model, version.version))}>
      Promote to {BEST}
    </button>
  );
}

function Aliases({ model, version }: { model: Model; version: Version }) {
  const here = aliasesOf(model, version.version);
  const mayChange = can("admin") && !model.read_only && version.state === "whole";
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const alias = String(new FormData(form).get("alias"));
    void attempt(async () => {
      await point(model, alias, version.version);
      form.reset();
    });
  };
  return (
    <section aria-labelledby="aliases-title" class="aliases">
      <h3 id="aliases-title">Aliases</h3>
      <ul class="row">
        {here.map((alias) => (
          <li key={alias}>
            <Chip tone="accent">{alias}</Chip>
            {mayChange && alias !== LATEST && (
              <button
                type="button"
                class="plain small"
                aria-label={`Delete the alias ${alias}`}
                onClick={() => attempt(() => deleteAlias(model, alias))}
              >
                ✕
              </button>
            )}
          </li>
        ))}
        {!here.length && <li class="hint">None points at this version.</li>}
      </ul>
      {mayChange && (
        <form class="row" onSubmit={submit}>
          <label class="unseen" for="new-alias">
            Alias that shall point here
          </label>
          <input
            id="new-alias"
            name="alias"
            required
            pattern="[a-z0-9][a-z0-9._\-]{0,63}"
            title="lower-case letters, digits, dots, dashes and underscores"
            placeholder="stable"
            autocomplete="off"
          />
          <button type="submit">Point here</button>
        </form>
      )}
    </section>
  );
}

function Origin({ manifest }: { manifest: Manifest }) {
  const { provenance, generator, files } = manifest;
  const software = Object.entries(provenance.software ?? {});
  return (
    <section aria-labelledby="origin-title">
      <h3 id="origin-title">Where it comes from</h3>
      <dl>
        <dt>Made</dt>
        <dd>{moment(manifest.created_at)}</dd>
        <dt>Data</dt>
        <dd>{provenance.dataset}</dd>
        <dt>Preset</dt>
        <dd>{provenance.preset}</dd>
        <dt>Trained for</dt>
        <dd>{round(provenance.kimg)} kimg (thousands of real images)</dd>
        {provenance.run && can("train") && (
          <>
            <dt>Run</dt>
            <dd>
              <a href={`/runs/${provenance.run}`}>{provenance.run}</a>
            </dd>
          </>
        )}
        <dt>Images</dt>
        <dd>
          {generator.size} × {generator.size} px, {generator.channels === 1 ? "grey" : "colour"}
        </dd>
        <dt>Network</dt>
        <dd>
          {generator.network.family}, latent of {generator.latent.dim}
        </dd>
        {!!manifest.classes?.length && (
          <>
            <dt>Classes</dt>
            <dd>
              <Classes names={manifest.classes} />
            </dd>
          </>
        )}
        <dt>Files</dt>
        <dd>
          {Object.entries(files)
            .map(([name, file]) => `${name} (${bytes(file.size)})`)
            .join(", ")}
        </dd>
        {!!software.length && (
          <>
            <dt>Software</dt>
            <dd>{software.map(([name, version]) => `${name} ${version}`).join(", ")}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

// Hundreds of names are not read by the way.
function Classes({ names }: { names: string[] }) {
  const all = names.join(", ");
  if (names.length <= 20) return <>{all}</>;
  return (
    <details>
      <summary>{plural(names.length, "class", "classes")}</summary>
      {all}
    </details>
  );
}

function Deletion({ model, version, onDeleted }: { model: Model; version: Version; onDeleted: () => void }) {
  const asking = useSignal(false);
  const held = heldBy(model, version.version);
  const remove = () =>
    attempt(async () => {
      await deleteVersion(model, version.version);
      onDeleted();
    });
  return (
    <section aria-labelledby="deletion-title">
      <h3 id="deletion-title">Deletion</h3>
      {held ? (
        <p class="hint">{held}</p>
      ) : asking.value ? (
        <div class="row">
          <p>Its files are lost for good. Delete {version.ref}?</p>
          <button type="button" class="danger" onClick={remove}>
            Delete {version.ref}
          </button>
          <button type="button" onClick={() => (asking.value = false)}>
            Keep it
          </button>
        </div>
      ) : (
        <button type="button" class="danger" onClick={() => (asking.value = true)}>
          Delete this version…
        </button>
      )}
    </section>
  );
}
