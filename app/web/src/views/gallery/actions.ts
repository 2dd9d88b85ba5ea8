// Actions on a model; each reports what it did and can be undone, except for deletion.

import { call } from "../../api/client.ts";
import type { Model } from "../../api/types.ts";
import { notify } from "../../notices.tsx";
import { putModel, refreshModels } from "../../stores/models.ts";
import { BEST } from "../../stores/versions.ts";

/** Set an alias to a version. */
export async function setAlias(model: Model, alias: string, version: number): Promise<void> {
  const before = model.aliases[alias];
  putModel(await putAlias(model.name, alias, version));
  const formerly = before === undefined ? "" : `; it was ${before}`;
  notify(`${alias} of ${model.name} is ${version} now${formerly}.`, async () => {
    if (before === undefined) await removeAlias(model.name, alias);
    else putModel(await putAlias(model.name, alias, before));
  });
}

/** Serve a version for requests that name the model without a version. */
export function promote(model: Model, version: number): Promise<void> {
  return setAlias(model, BEST, version);
}

export async function deleteAlias(model: Model, alias: string): Promise<void> {
  const before = model.aliases[alias];
  if (before === undefined) return;
  await removeAlias(model.name, alias);
  notify(`${model.name} no longer has the alias ${alias}.`, async () =>
    putModel(await putAlias(model.name, alias, before)),
  );
}

export async function deleteVersion(model: Model, version: number): Promise<void> {
  await call("DELETE /models/{name}@{version}", { path: { name: model.name, version } });
  await refreshModels();
  notify(`${model.name}@${version} is deleted.`);
}

function putAlias(name: string, alias: string, version: number): Promise<Model> {
  return call("PUT /models/{name}/aliases/{alias}", { path: { name, alias }, body: { version } });
}

async function removeAlias(name: string, alias: string): Promise<void> {
  await call("DELETE /models/{name}/aliases/{alias}", { path: { name, alias } });
  await refreshModels();
}
