// The request that paints what is shown, as people would write it in a shell, in Python and in JavaScript.

export const LANGUAGES = ["curl", "Python", "JavaScript"] as const;
export type Language = (typeof LANGUAGES)[number];

interface Request {
  /** With scheme and host. */
  address: string;
  file: string;
  /** Whether the service wants a key, which is read from the environment: no secret is copied. */
  keyed: boolean;
}

export function snippet(language: Language, request: Request): string {
  return { curl, Python: python, JavaScript: javascript }[language](request);
}

function curl({ address, file, keyed }: Request): string {
  const key = keyed ? ` -H "Authorization: Bearer $ATELIER_KEY"` : "";
  return `curl -fo ${shell(file)}${key} ${shell(address)}`;
}

function python({ address, file, keyed }: Request): string {
  const lines = [
    ...(keyed ? ["import os", ""] : []),
    "import httpx",
    "",
    keyed
      ? `headers = {"Authorization": f"Bearer {os.environ['ATELIER_KEY']}"}\nanswer = httpx.get(${quoted(address)}, headers=headers, timeout=60)`
      : `answer = httpx.get(${quoted(address)}, timeout=60)`,
    "answer.raise_for_status()",
    `with open(${quoted(file)}, "wb") as file:`,
    "    file.write(answer.content)",
  ];
  return lines.join("\n");
}

function javascript({ address, file, keyed }: Request): string {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the snippet's own template.
  const options = keyed ? ", {\n  headers: { Authorization: `Bearer ${process.env.ATELIER_KEY}` },\n}" : "";
  return [
    `import { writeFile } from "node:fs/promises";`,
    "",
    `const answer = await fetch(${quoted(address)}${options});`,
    "if (!answer.ok) throw new Error((await answer.json()).detail);",
    `await writeFile(${quoted(file)}, Buffer.from(await answer.arrayBuffer()));`,
  ].join("\n");
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function shell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
