import assert from "node:assert/strict";
import { globSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { buildPage } from "../../tools/build/page.ts";
import { WAIT_MS } from "./process.ts";

/** Drives the agent's page in Debian's Chromium. `SCREENSHOTS=folder` leaves pictures there. */

let browser: Browser | undefined;

/** Builds the page and starts the browser before the tests of a file, and ends it after them. */
export function useBrowser(): void {
  before(async () => {
    if (!isBuilt()) await buildPage(process.cwd(), { minify: false });
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  });
  after(() => browser?.close());
}

export interface OpenedPage extends AsyncDisposable {
  readonly page: Page;
  /** What the page must not have: errors of scripts, and requests to other places. */
  readonly faults: string[];
  /** Leaves a picture if somebody wants some. */
  picture(name: string): Promise<void>;
  /** Fails on serious and critical accessibility faults of what is shown now. */
  assertAccessible(): Promise<void>;
}

export interface PageOptions {
  readonly colorScheme?: "dark" | "light";
  readonly width?: number;
  readonly height?: number;
  /** Errors of the console that the test provokes. */
  readonly expected?: RegExp;
}

/**
 * Whether the page is newer than what it is made of, as after `npm test`, which builds it before all tests: several files of
 * tests run at once, and the agents of one must not read what another one is writing.
 */
function isBuilt(): boolean {
  const sources = globSync("{web/{source,static}/**,web/schema.json,package-lock.json}");
  const newest = Math.max(...sources.map((path) => statSync(path).mtimeMs));
  return (statSync("web/dist/main.js", { throwIfNoEntry: false })?.mtimeMs ?? 0) > newest;
}

/** Opens `url` (of the agent, with the prefix and view) in a window of its own. */
export async function openBrowserPage(url: string, options: PageOptions = {}): Promise<OpenedPage> {
  const context = await browser!.newContext({
    colorScheme: options.colorScheme ?? "light",
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    bypassCSP: true, // for axe alone: the page itself has no inline scripts, which http-api.test.ts checks
  });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  const { origin } = new URL(url);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !options.expected?.test(message.text())) faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(origin)) faults.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return {
    page,
    faults,
    async picture(name) {
      if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
    },
    assertAccessible: () => assertAccessible(page),
    [Symbol.asyncDispose]: () => context.close(),
  };
}

interface AxeFault {
  readonly id: string;
  readonly impact: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

async function assertAccessible(page: Page): Promise<void> {
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  await page.evaluate(axe);
  const { violations } = (await page.evaluate("axe.run()")) as { violations: AxeFault[] };
  const bad = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const text = bad.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}\n${nodes.map((each) => `${each.html}\n${each.failureSummary}`).join("\n")}`,
  );
  assert.equal(bad.length, 0, text.join("\n\n"));
}
