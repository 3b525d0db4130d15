import { existsSync, globSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { getAsset, getAssetKeys, isSea } from "node:sea";
import { fileURLToPath } from "node:url";
import type { HttpResponse } from "#pipeline/component";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};

/** Nothing from outside, nothing inline but what the page's own files hold. */
const SECURITY_HEADERS = {
  "Content-Security-Policy":
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-cache",
};

/** What marks the files of the page among the assets of the single executable. */
export const PAGE_ASSET_PREFIX = "web/";

/** Views whose address ends in a component's id, which may look like a file's name. */
const VIEW_OF_ID = /^\/(?:component|debug|live)\//;

/** The files of the agent's page, from `web/dist` or from inside the single executable. */
export class Page {
  readonly #files: ReadonlyMap<string, Uint8Array>;
  get #missing(): string {
    return this.#files.size > 0 ? "404 page not found\n" : "the page was not built: npm run page\n";
  }

  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.#files = files;
  }

  /** Serves a path below the prefix; whatever is no file is a view of the page, such as `/component/loki.write.x`. */
  serve(path: string, prefix: string): HttpResponse {
    const isFile = this.#files.has(path.slice(1)) || (TYPES[extname(path)] !== undefined && !VIEW_OF_ID.test(path));
    const name = isFile ? path.slice(1) : "index.html";
    const file = this.#files.get(name);
    if (file === undefined) return { status: 404, headers: { "Content-Type": "text/plain" }, body: this.#missing };
    const headers = { ...SECURITY_HEADERS, "Content-Type": TYPES[extname(name)] ?? "application/octet-stream" };
    if (name !== "index.html") return { status: 200, headers, body: file };
    const base = `${prefix.replace(/\/+$/, "")}/`;
    return {
      status: 200,
      headers,
      body: Buffer.from(file).toString("utf8").replace('<base href="/"', `<base href="${base}"`),
    };
  }
}

export async function openPage(): Promise<Page> {
  const files = new Map<string, Uint8Array>();
  if (isSea()) {
    for (const key of getAssetKeys()) {
      if (key.startsWith(PAGE_ASSET_PREFIX))
        files.set(key.slice(PAGE_ASSET_PREFIX.length), new Uint8Array(getAsset(key)));
    }
    return new Page(files);
  }
  const folder = pageFolder();
  if (folder === undefined) return new Page(files);
  for (const name of globSync("**/*.*", { cwd: folder })) files.set(name, readFileSync(join(folder, name)));
  return new Page(files);
}

/** Built beside the sources in a checkout, beside the code in the npm package; undefined if it was not built. */
function pageFolder(): string | undefined {
  const candidates = ["../../web/dist/", "../web/"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  return candidates.find((path) => existsSync(join(path, "index.html")));
}
