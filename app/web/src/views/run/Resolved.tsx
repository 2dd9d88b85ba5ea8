// What the worker decided when the run first started, and why.

import type { Run } from "../../api/types.ts";
import { spoken } from "./words.ts";

export function Resolved({ run: { resolved } }: { run: Run }) {
  const { reasons, ...decided } = resolved as { reasons?: string[] } & Record<string, unknown>;
  const shown = Object.entries(decided).filter(([, value]) => value !== null && typeof value !== "object");
  if (!shown.length) return null;
  return (
    <details class="resolved">
      <summary>Decided at its start</summary>
      {!!reasons?.length && (
        <ul>
          {reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
      <dl>
        {shown.map(([name, value]) => (
          <div key={name}>
            <dt>{spoken(name)}</dt>
            <dd>{String(value)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
