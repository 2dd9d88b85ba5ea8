// Verdicts on runs as the API's schema declares them: titles, severities, sentences, advice.

import type { Run } from "../api/types.ts";
import type { SchemaNodes } from "./schema.ts";

export type Severity = "good" | "early" | "warning" | "failure";

export interface VerdictText {
  title: string;
  severity: Severity;
  sentence: string;
  advice: string;
}

/** A verdict in words; null while the schema is not loaded, and for a verdict of another version. */
export function verdictText(nodes: SchemaNodes | null, verdict: Run["health"]["verdict"]): VerdictText | null {
  const node = nodes?.HealthView?.properties?.verdict;
  const names = [node, ...(node?.anyOf ?? [])].find((option) => option?.enum);
  const index = names?.enum?.indexOf(verdict) ?? -1;
  if (!names || index < 0) return null;
  return {
    title: names["x-enum-titles"]?.[index] ?? "",
    severity: (names["x-enum-severities"]?.[index] ?? "warning") as Severity,
    sentence: names["x-enum-descriptions"]?.[index] ?? "",
    advice: names["x-enum-advice"]?.[index] ?? "",
  };
}
