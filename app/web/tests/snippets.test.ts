import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { LANGUAGES, snippet } from "../src/views/play/snippets.ts";

const request = { url: "http://127.0.0.1:8000/samples?seed=7&class=it's", file: "a b.png", needsKey: false };

test("a shell reads the URL and the file name unchanged", () => {
  const command = snippet("curl", request);
  assert.equal(command, `curl -fo 'a b.png' 'http://127.0.0.1:8000/samples?seed=7&class=it'\\''s'`);
  const words = execFileSync("sh", ["-c", command.replace("curl", "printf '%s\\n'")], { encoding: "utf8" });
  assert.deepEqual(words.trim().split("\n"), ["-fo", request.file, request.url]);
});

test("Python and JavaScript read the URL unchanged", () => {
  for (const language of ["Python", "JavaScript"] as const) {
    assert.ok(snippet(language, request).includes(JSON.stringify(request.url)), language);
  }
});

test("a key is read from the environment only where one is needed", () => {
  for (const language of LANGUAGES) {
    assert.match(snippet(language, { ...request, needsKey: true }), /Bearer .*ATELIER_KEY/);
    assert.doesNotMatch(snippet(language, request), /ATELIER_KEY/);
  }
});
