// Asks the HTTP API. Every call is checked against the schema; what goes wrong becomes a Refused in the problem's own words.

import type { Operations, Schemas } from "./schema";

type Problem = Schemas["ProblemBody"];
type Values = Record<string, unknown>;
type Operation = keyof Operations;

// A part of a call that an operation has nothing for may be left out; one that it needs may not.
type Part<Name extends string, Value> = Value extends undefined
  ? unknown
  : Record<never, never> extends Value
    ? { [key in Name]?: Value }
    : null extends Value
      ? { [key in Name]?: Value }
      : { [key in Name]: Value };

// What may be left out of a query may also be null or undefined.
type Loose<Query> = {
  [Key in keyof Query]: Query[Key] | (Record<never, never> extends Pick<Query, Key> ? null | undefined : never);
};

export type Input<O extends Operation> = Part<"path", Operations[O]["path"]> &
  Part<"query", Loose<Operations[O]["query"]>> &
  Part<"body", Operations[O]["body"]>;

export type Answer<O extends Operation> = Operations[O]["answer"];

/** An answer that is no success; `message` says what was wrong and what to do. */
export class Refused extends Error {
  readonly status: number;
  readonly title: string;
  readonly errors: Schemas["ErrorItem"][];
  /** Seconds to wait before asking again, where the service told. */
  readonly retryAfter: number | null;

  constructor(status: number, problem: Partial<Problem>, retryAfter: number | null = null) {
    super(problem.detail ?? `The service answered ${status} without saying why.`);
    this.status = status;
    this.title = problem.title ?? "Refused";
    this.errors = problem.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

/** No answer at all: the service is stopped, or the network is. */
export class Unreachable extends Error {
  constructor() {
    super("Atelier does not answer. Is it still running? This page tries again by itself.");
  }
}

let onUnauthorized = (): void => {};

export function whenUnauthorized(callback: () => void): void {
  onUnauthorized = callback;
}

/** Make the address of an operation, such as a picture's; values that are null or undefined are left out. */
export function address<O extends Operation>(operation: O, input: Omit<Input<O>, "body">): string {
  const { path = {}, query = {} } = input as { path?: Values; query?: Values };
  const [, template = ""] = operation.split(" ", 2);
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name])));
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${filled}?${text.replaceAll("%2C", ",").replaceAll("%40", "@")}` : filled;
}

/** Ask for an address and give the answer as it comes, if it is a success. */
export async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const answer = await fetch(path, options).catch((error: unknown) => {
    throw error instanceof DOMException && error.name === "AbortError" ? error : new Unreachable();
  });
  if (answer.ok) return answer;
  if (answer.status === 401 && path !== "/session") onUnauthorized();
  throw await refusal(answer);
}

async function refusal(answer: Response): Promise<Refused> {
  const problem = (await answer.json().catch(() => ({}))) as Partial<Problem>;
  const wait = Number(answer.headers.get("Retry-After") ?? Number.NaN);
  return new Refused(answer.status, problem, Number.isFinite(wait) ? wait : null);
}

/** Call an operation, and give what it answers as JSON; undefined where it answers none. */
export async function call<O extends Operation>(
  operation: O,
  input: Input<O>,
  options: { signal?: AbortSignal; headers?: Record<string, string> } = {},
): Promise<Answer<O>> {
  const [method = "GET"] = operation.split(" ", 1);
  const { body } = input as { body?: unknown };
  const headers = { ...options.headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  const answer = await ask(address(operation, input), {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  return (answer.status === 204 ? undefined : await answer.json()) as Answer<O>;
}

type Listing = { [O in Operation]: Answer<O> extends { items: unknown[]; next: string | null } ? O : never }[Operation];
type Item<O extends Listing> = Answer<O> extends { items: (infer I)[] } ? I : never;

/** Read a list to its end, page by page. */
export async function all<O extends Listing>(operation: O, input: Input<O>): Promise<Item<O>[]> {
  const items: Item<O>[] = [];
  const { query = {}, ...rest } = input as { query?: Values };
  for (let cursor: string | null = ""; cursor !== null; ) {
    const asked = { ...rest, query: { limit: 200, ...query, ...(cursor ? { cursor } : {}) } };
    const page = (await call(operation, asked as unknown as Input<O>)) as { items: Item<O>[]; next: string | null };
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

/** Say what went wrong, in words that can be shown. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
