// What the gallery can do to a model; each says what it did and can be undone, except for deletion.

import { call } from "../../api/client.ts";
import type { Model } from "../../api/types.ts";
import { notify } from "../../notices.tsx";
import { putModel, refreshModels } from "../../stores/models.ts";
import { BEST } from "../../stores/versions.ts";

/** Point an alias at a version. */
export async function point(model: Model, alias: string, version: number): Promise<void> {
  const before = model.aliases[alias];
  putModel(await put(model.name, alias, version));
  const was = before === undefined ? "" : `; it was ${before}`;
  notify(`${alias} of ${model.name} is ${version} now${was}.`, async () => {
    if (before === undefined) await drop(model.name, alias);
    else putModel(await put(model.name, alias, before));
  });
}

/** Serve a version wherever the model is asked for by its bare name. */
export function promote(model: Model, version: number): Promise<void> {
  return point(model, BEST, version);
}

export async function deleteAlias(model: Model, alias: string): Promise<void> {
  const before = model.aliases[alias];
  if (before === undefined) return;
  await drop(model.name, alias);
  notify(`${model.name} has no alias ${alias} any more.`, async () => putModel(await put(model.name, alias, before)));
}

export async function deleteVersion(model: Model, version: number): Promise<void> {
  await call("DELETE /models/{name}@{version}", { path: { name: model.name, version } });
  await refreshModels();
  notify(`${model.name}@${version} is deleted.`);
}

function put(name: string, alias: string, version: number): Promise<Model> {
  return call("PUT /models/{name}/aliases/{alias}", { path: { name, alias }, body: { version } });
}

async function drop(name: string, alias: string): Promise<void> {
  await call("DELETE /models/{name}/aliases/{alias}", { path: { name, alias } });
  await refreshModels();
}
