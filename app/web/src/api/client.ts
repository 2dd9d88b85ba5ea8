// HTTP client of the API. Every call is checked against the generated schema; an error response becomes an ApiError.

import type { Operations, Schemas } from "./schema";

type Problem = Schemas["ProblemBody"];
type Parameters = Record<string, unknown>;
type Operation = keyof Operations;

// A part of the input may be omitted where the operation takes nothing for it or nothing of it is required.
type Part<Name extends string, Value> = Value extends undefined
  ? unknown
  : Record<never, never> extends Value
    ? { [key in Name]?: Value }
    : null extends Value
      ? { [key in Name]?: Value }
      : { [key in Name]: Value };

// Optional query parameters may also be null or undefined.
type NullableOptional<Query> = {
  [Key in keyof Query]: Query[Key] | (Record<never, never> extends Pick<Query, Key> ? null | undefined : never);
};

export type Input<O extends Operation> = Part<"path", Operations[O]["path"]> &
  Part<"query", NullableOptional<Operations[O]["query"]>> &
  Part<"body", Operations[O]["body"]>;

export type ResponseBody<O extends Operation> = Operations[O]["response"];

/** An error response; `message` is the problem's detail: what was wrong and what to do. */
export class ApiError extends Error {
  readonly status: number;
  readonly title: string;
  readonly errors: Schemas["ErrorItem"][];
  /** Seconds from the `Retry-After` header; null where there is none. */
  readonly retryAfter: number | null;

  constructor(status: number, problem: Partial<Problem>, retryAfter: number | null = null) {
    super(problem.detail ?? `The service returned status ${status} without a reason.`);
    this.status = status;
    this.title = problem.title ?? "Request failed";
    this.errors = problem.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

/** No response: the service or the network is down. */
export class UnreachableError extends Error {
  constructor() {
    super("Atelier does not respond. Is it still running? This page retries by itself.");
  }
}

let unauthorizedHandler = (): void => {};

export function onUnauthorized(callback: () => void): void {
  unauthorizedHandler = callback;
}

/** Build the URL of an operation; parameters that are null or undefined are omitted. */
export function buildUrl<O extends Operation>(operation: O, input: Omit<Input<O>, "body">): string {
  const { path = {}, query = {} } = input as { path?: Parameters; query?: Parameters };
  const [, template = ""] = operation.split(" ", 2);
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name])));
  const present = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(present.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${filled}?${text.replaceAll("%2C", ",").replaceAll("%40", "@")}` : filled;
}

/** Fetch a URL and return the response; throws ApiError or UnreachableError unless it is a success. */
export async function fetchOk(path: string, options: RequestInit = {}): Promise<Response> {
  const response = await fetch(path, options).catch((error: unknown) => {
    throw error instanceof DOMException && error.name === "AbortError" ? error : new UnreachableError();
  });
  if (response.ok) return response;
  // Signing in with a wrong key is an error of the form, not the end of a session.
  if (response.status === 401 && path !== "/session") unauthorizedHandler();
  throw await apiError(response);
}

async function apiError(response: Response): Promise<ApiError> {
  // A proxy in front of the service may answer with HTML.
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const retryAfter = Number(response.headers.get("Retry-After") ?? Number.NaN);
  return new ApiError(response.status, problem, Number.isFinite(retryAfter) ? retryAfter : null);
}

/** Call an operation and return its JSON; undefined for 204. */
export async function call<O extends Operation>(
  operation: O,
  input: Input<O>,
  options: { signal?: AbortSignal; headers?: Record<string, string> } = {},
): Promise<ResponseBody<O>> {
  const [method = "GET"] = operation.split(" ", 1);
  const { body } = input as { body?: unknown };
  const headers = { ...options.headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  const response = await fetchOk(buildUrl(operation, input), {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  return (response.status === 204 ? undefined : await response.json()) as ResponseBody<O>;
}

type Listing = {
  [O in Operation]: ResponseBody<O> extends { items: unknown[]; next: string | null } ? O : never;
}[Operation];
type Item<O extends Listing> = ResponseBody<O> extends { items: (infer I)[] } ? I : never;

/** Read all pages of a list. */
export async function listAll<O extends Listing>(operation: O, input: Input<O>): Promise<Item<O>[]> {
  const items: Item<O>[] = [];
  const { query = {}, ...rest } = input as { query?: Parameters };
  for (let cursor: string | null = ""; cursor !== null; ) {
    const paged = { ...rest, query: { limit: 200, ...query, ...(cursor ? { cursor } : {}) } };
    const page = (await call(operation, paged as unknown as Input<O>)) as { items: Item<O>[]; next: string | null };
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

/** The message to show for whatever was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
