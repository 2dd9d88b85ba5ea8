// What a request would come to, asked of the service whenever the request changes.

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, Refused, words } from "../../api/client.ts";
import type { Schemas } from "../../api/schema";
import { lengthOf } from "./length.ts";
import type { Config } from "./settings.ts";

export type Request = Schemas["TrainRequest"];
export type DryRun = Schemas["DryRun"];

export interface Plan {
  /** What would be trained; null before the first answer. */
  dry: DryRun | null;
  /** The same at the preset's whole length. */
  full: Config | null;
  /** The request that the answer is to. */
  request: Request | null;
  /** What is wrong, by the name of the field: `dataset`, `kimg`, `generator.lr`; what has no field is under "". */
  errors: Record<string, string>;
  busy: boolean;
}

const QUIET_MILLISECONDS = 250;
const NONE: Plan = { dry: null, full: null, request: null, errors: {}, busy: false };

/** Keep up with a request; null where there is nothing to ask yet. `share`: of the preset's length. */
export function usePlan(request: Request | null, share: number): ReadonlySignal<Plan> {
  const plan = useSignal<Plan>(NONE);
  const asked = request && JSON.stringify(request);

  useEffect(() => {
    if (asked === null) {
      plan.value = NONE;
      return;
    }
    const asking = new AbortController();
    plan.value = { ...plan.value, busy: true };
    const timer = setTimeout(() => {
      look(JSON.parse(asked) as Request, share, asking.signal).then(
        (found) => {
          plan.value = found;
        },
        (error: unknown) => {
          if (!asking.signal.aborted)
            plan.value = { ...plan.value, request: null, errors: byField(error), busy: false };
        },
      );
    }, QUIET_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
  }, [asked, share, plan]);
  return plan;
}

async function look(request: Request, share: number, signal: AbortSignal): Promise<Plan> {
  const ask = (body: Request) => call("POST /train", { query: { dry_run: true }, body }, { signal }) as Promise<DryRun>;
  const whole = await ask(request);
  const length = lengthOf(whole.config, share);
  const asked = { ...request, ...length };
  const dry = Object.keys(length).length ? await ask(asked) : whole;
  return { dry, full: whole.config, request: asked, errors: {}, busy: false };
}

/** Sort a refusal by the fields that it speaks of. */
export function byField(error: unknown): Record<string, string> {
  if (!(error instanceof Refused) || !error.errors.length) return { "": words(error) };
  const found: Record<string, string> = {};
  for (const { loc, msg } of error.errors) {
    const [, first = "", ...rest] = loc.map(String);
    const name = first === "overrides" ? rest.join(".") : first;
    found[name] = found[name] ? `${found[name]}\n${msg}` : msg;
  }
  return found;
}
