// Code snippets that send a request: for a shell, Python and JavaScript.

export const LANGUAGES = ["curl", "Python", "JavaScript"] as const;
export type Language = (typeof LANGUAGES)[number];

interface Request {
  /** With scheme and host. */
  url: string;
  file: string;
  /** Whether the service needs a key; snippets read it from the environment, so that no secret is copied. */
  needsKey: boolean;
}

export function snippet(language: Language, request: Request): string {
  return { curl, Python: python, JavaScript: javascript }[language](request);
}

function curl({ url, file, needsKey }: Request): string {
  const key = needsKey ? ` -H "Authorization: Bearer $ATELIER_KEY"` : "";
  return `curl -fo ${shellWord(file)}${key} ${shellWord(url)}`;
}

function python({ url, file, needsKey }: Request): string {
  const lines = [
    ...(needsKey ? ["import os", ""] : []),
    "import httpx",
    "",
    needsKey
      ? `headers = {"Authorization": f"Bearer {os.environ['ATELIER_KEY']}"}\nresponse = httpx.get(${jsonString(url)}, headers=headers, timeout=60)`
      : `response = httpx.get(${jsonString(url)}, timeout=60)`,
    "response.raise_for_status()",
    `with open(${jsonString(file)}, "wb") as file:`,
    "    file.write(response.content)",
  ];
  return lines.join("\n");
}

function javascript({ url, file, needsKey }: Request): string {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the template is part of the snippet.
  const options = needsKey ? ", {\n  headers: { Authorization: `Bearer ${process.env.ATELIER_KEY}` },\n}" : "";
  return [
    `import { writeFile } from "node:fs/promises";`,
    "",
    `const response = await fetch(${jsonString(url)}${options});`,
    "if (!response.ok) throw new Error((await response.json()).detail);",
    `await writeFile(${jsonString(file)}, Buffer.from(await response.arrayBuffer()));`,
  ].join("\n");
}

function jsonString(text: string): string {
  return JSON.stringify(text);
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
