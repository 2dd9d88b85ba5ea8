// Build of the page into dist/, which app/api/page.py serves, with a gzip and a Brotli copy of each text file.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const COMPRESSIBLE = /\.(js|css|html|svg)$/;

function compressed(folder: string): Plugin {
  return {
    name: "compressed-copies",
    apply: "build",
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        if (!COMPRESSIBLE.test(name)) continue;
        const path = join(folder, name);
        const bytes = readFileSync(path);
        const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: quality }));
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

// `npm run dev` serves the sources and forwards all other requests to a running service.
const SERVICE = process.env.STUDIO_SERVICE ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "/web/",
  build: {
    target: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  plugins: [compressed(join(import.meta.dirname, "dist"))],
  server: { proxy: { "^/(?!web/)": { target: SERVICE, bypass: (request) => viewPage(request.url ?? "/") } } },
});

function viewPage(url: string): string | undefined {
  return /^\/($|\?|play|runs|data($|[/?]))/.test(url) ? "/web/index.html" : undefined;
}
