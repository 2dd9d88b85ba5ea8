// Choices that the API's schema declares: possible values of settings and form fields, read from `/openapi.json`.

import { signal } from "@preact/signals";
import { fetchOk } from "../api/client.ts";
import type { Schemas } from "../api/schema";

/** The parts of JSON Schema that declare choices. */
export interface SchemaNode {
  $ref?: string;
  type?: string;
  enum?: Value[];
  const?: Value;
  anyOf?: SchemaNode[];
  oneOf?: SchemaNode[];
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  /** Words for each value of an `enum`, in its order. */
  "x-enum-titles"?: string[];
  "x-enum-descriptions"?: string[];
  "x-enum-advice"?: string[];
  "x-enum-severities"?: string[];
}

type Value = string | number | boolean | null;
export type SchemaNodes = Record<string, SchemaNode>;

export interface Choices {
  values: Value[];
  /** Whether any number of the values may be chosen, as a list. */
  multiple: boolean;
}

/** The schemas of the API's types by name; null until they are loaded. */
export const schemas = signal<SchemaNodes | null>(null);

let loading: Promise<void> | null = null;

/** Load the schemas once; after an error, the next call tries again. */
export function loadSchemas(): Promise<void> {
  loading ??= fetchOk("/openapi.json")
    .then((response) => response.json())
    .then(
      (document: { components: { schemas: SchemaNodes } }) => {
        schemas.value = document.components.schemas;
      },
      (error: unknown) => {
        loading = null;
        throw error;
      },
    );
  return loading;
}

/** The choices for a dotted path within a type, such as `penalty.kind`; null where any value may be typed. */
export function choicesOf(nodes: SchemaNodes, type: keyof Schemas, path: string): Choices | null {
  let found = variants(nodes, { $ref: `#/components/schemas/${type}` });
  for (const name of path.split(".")) {
    // Only some variants of a union have the property: each family of networks has its own.
    found = found.flatMap(({ properties }) => (properties?.[name] ? variants(nodes, properties[name]) : []));
  }
  const items = found.flatMap((node) => (node.type === "array" && node.items ? variants(nodes, node.items) : []));
  const multiple = items.length > 0;
  const values = (multiple ? items : found).map(valuesOf);
  // A variant without declared values, such as a number, accepts values that no list can offer.
  if (!values.length || values.includes(null)) return null;
  return { values: [...new Set(values.flatMap((each) => each ?? []))], multiple };
}

// Follow references and unions down to the schemas that describe a value.
function variants(nodes: SchemaNodes, node: SchemaNode): SchemaNode[] {
  if (node.$ref !== undefined) {
    const target = nodes[node.$ref.slice(node.$ref.lastIndexOf("/") + 1)];
    return target ? variants(nodes, target) : [];
  }
  const options = node.anyOf ?? node.oneOf;
  return options ? options.flatMap((option) => variants(nodes, option)) : [node];
}

function valuesOf(node: SchemaNode): Value[] | null {
  if (node.enum) return node.enum;
  if (node.const !== undefined) return [node.const];
  if (node.type === "boolean") return [true, false];
  return node.type === "null" ? [null] : null;
}
