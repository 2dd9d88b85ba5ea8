// Dry runs: what the service says a training request would take, and the share of the preset's length to ask for.

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, call, errorMessage } from "../../api/client.ts";
import type { Schemas } from "../../api/schema";
import type { Config } from "./settings.ts";

export type TrainRequest = Schemas["TrainRequest"];
export type DryRun = Schemas["DryRun"];

export interface LengthStep {
  /** Of the preset's length. */
  share: number;
  label: string;
}

export const LENGTHS: LengthStep[] = [
  { share: 0.02, label: "quick: 2 %" },
  { share: 0.05, label: "5 %" },
  { share: 0.1, label: "10 %" },
  { share: 0.25, label: "25 %" },
  { share: 0.5, label: "50 %" },
  { share: 1, label: "best: 100 %" },
];

export const FULL_LENGTH = LENGTHS.length - 1;

/** Parse an index into `LENGTHS`; text that is none means the full length. */
export function parseLength(text: string | null): number {
  const index = Number(text ?? FULL_LENGTH);
  return LENGTHS[index] ? index : FULL_LENGTH;
}

/** A share of a configuration's length, in the configuration's own unit; empty for the full length. */
export function lengthOverride(full: Config, share: number): { epochs?: number; kimg?: number } {
  if (share === 1) return {};
  if (full.epochs != null) return { epochs: twoDigits(full.epochs * share) };
  return full.kimg != null ? { kimg: twoDigits(full.kimg * share) } : {};
}

function twoDigits(value: number): number {
  return Number(value.toPrecision(2));
}

export interface DryRunState {
  /** The service's response; null before the first one. */
  dry: DryRun | null;
  /** The configuration at the preset's full length. */
  full: Config | null;
  /** The request that was answered; null while it is invalid. */
  request: TrainRequest | null;
  /** Error messages by field (`dataset`, `kimg`, `generator.lr`); those about no field are under "". */
  errors: Record<string, string>;
  busy: boolean;
}

const DEBOUNCE_MILLISECONDS = 250;
const EMPTY: DryRunState = { dry: null, full: null, request: null, errors: {}, busy: false };

/** Keep a dry run current with a request; null while the request is incomplete. `share`: of the preset's length. */
export function useDryRun(request: TrainRequest | null, share: number): ReadonlySignal<DryRunState> {
  const state = useSignal<DryRunState>(EMPTY);
  const body = request && JSON.stringify(request);

  useEffect(() => {
    if (body === null) {
      state.value = EMPTY;
      return;
    }
    const controller = new AbortController();
    state.value = { ...state.value, busy: true };
    const timer = setTimeout(() => {
      dryRun(JSON.parse(body) as TrainRequest, share, controller.signal).then(
        (result) => {
          state.value = result;
        },
        (error: unknown) => {
          if (controller.signal.aborted) return;
          state.value = { ...state.value, request: null, errors: errorsByField(error), busy: false };
        },
      );
    }, DEBOUNCE_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [body, share, state]);
  return state;
}

async function dryRun(request: TrainRequest, share: number, signal: AbortSignal): Promise<DryRunState> {
  const send = (body: TrainRequest) =>
    call("POST /train", { query: { dry_run: true }, body }, { signal }) as Promise<DryRun>;
  // The full length is known only once the preset is resolved (`auto` chooses one), so a share of it takes two requests.
  const full = await send(request);
  const length = lengthOverride(full.config, share);
  const shortened = { ...request, ...length };
  const dry = Object.keys(length).length ? await send(shortened) : full;
  return { dry, full: full.config, request: shortened, errors: {}, busy: false };
}

/** Sort an error response's messages by the fields that they concern. */
export function errorsByField(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError) || !error.errors.length) return { "": errorMessage(error) };
  const found: Record<string, string> = {};
  for (const { loc, msg } of error.errors) {
    const [, first = "", ...rest] = loc.map(String);
    const name = first === "overrides" ? rest.join(".") : first;
    found[name] = found[name] ? `${found[name]}\n${msg}` : msg;
  }
  return found;
}
