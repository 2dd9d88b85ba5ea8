// Asks the HTTP API; what goes wrong becomes an Error with the problem's own words.

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let onUnauthorized = () => {};

export function whenUnauthorized(callback) {
  onUnauthorized = callback;
}

export async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  if (answer.status === 401 && path !== "/session") onUnauthorized();
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.detail ?? `${answer.status} ${answer.statusText}`);
}

export async function get(path) {
  return (await ask(path)).json();
}

export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body ?? {}) })).json();
}

// Reads a list to its end, page by page.
export async function all(path) {
  const items = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await get(`${path}?limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

export function show(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}
