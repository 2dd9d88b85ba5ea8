// A run's verdict as a small label, with its title and severity from the API's schema.

import { useEffect } from "preact/hooks";
import type { Run } from "../../api/types.ts";
import { humanize } from "../../format.ts";
import { warn } from "../../notices.tsx";
import { loadSchemas, schemas } from "../../stores/schema.ts";
import { verdictText } from "../../stores/verdicts.ts";
import { Chip } from "../../ui/parts.tsx";
import { SEVERITY_TONES } from "./labels.ts";

export function VerdictChip({ verdict }: { verdict: Run["health"]["verdict"] }) {
  useEffect(() => {
    loadSchemas().catch(warn);
  }, []);
  if (!verdict) return null;
  const text = verdictText(schemas.value, verdict);
  return <Chip tone={text ? SEVERITY_TONES[text.severity] : undefined}>{text?.title ?? humanize(verdict)}</Chip>;
}
