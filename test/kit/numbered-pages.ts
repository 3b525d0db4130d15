import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import type { WrittenSeries } from "./remote-write.ts";

/** How many series beside the number a page has. */
const FILLER = 20;

interface Page {
  /** How often the page was asked for. */
  asked: number;
  /** In which life of the agent it was last asked for. */
  life: number;
  readonly complete: Set<number>;
}

/** What a backend got of numbered pages. */
export class ScrapeRecord {
  /** How often each scrape came, as `page#number`. */
  readonly scrapes = new Map<string, number>();
  /** Times at which the agent found a page down, by page: a slow machine may have kept it from reading one in time. */
  readonly #failed = new Map<string, Set<number>>();

  add({ labels, samples }: WrittenSeries): void {
    const name = labels.get("__name__");
    const page = labels.get("page")!;
    for (const { timestamp, value } of samples) {
      if (name === "up" && value === 0) {
        const times = this.#failed.get(page) ?? new Set();
        this.#failed.set(page, times.add(timestamp));
      }
      if (name !== "scrape_number" || Number.isNaN(value)) continue;
      const scrape = `${page}#${value}`;
      this.scrapes.set(scrape, (this.scrapes.get(scrape) ?? 0) + 1);
    }
  }
  failed(page: string): number {
    return this.#failed.get(page)?.size ?? 0;
  }
  get doubles(): number {
    return [...this.scrapes.values()].filter((count) => count > 1).length;
  }
}

/**
 * Metric pages that show how often they were asked for. A scrape after which the same life of the agent began the next
 * one was handed on as a whole before that, so its number has to arrive somewhere.
 */
export class NumberedPages {
  readonly #pages = new Map<string, Page>();
  readonly #server: Server;
  /** Counted up by the test whenever it has killed the agent. */
  life = 0;
  #port = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      const path = request.url ?? "/";
      let page = this.#pages.get(path);
      if (page === undefined) this.#pages.set(path, (page = { asked: 0, life: -1, complete: new Set() }));
      if (page.life === this.life) page.complete.add(page.asked);
      page.asked += 1;
      page.life = this.life;
      let text = `# TYPE scrape_number counter\nscrape_number ${page.asked}\n`;
      for (let i = 0; i < FILLER; i++) text += `filler{i="${i}"} ${page.asked}\n`;
      response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4" }).end(text);
    });
  }

  static async start(t: TestContext): Promise<NumberedPages> {
    const pages = new NumberedPages();
    await new Promise<void>((resolve) => pages.#server.listen(0, "127.0.0.1", resolve));
    pages.#port = (pages.#server.address() as AddressInfo).port;
    cleanUp(t, () => {
      pages.#server.closeAllConnections();
      pages.#server.close();
    });
    return pages;
  }

  /** Targets for `count` pages, in the configuration language. */
  targets(count: number): string {
    const each = (i: number) =>
      `{ __address__ = "127.0.0.1:${this.#port}", __metrics_path__ = "/page/${i}", page = "/page/${i}" }`;
    return `[${Array.from({ length: count }, (_, i) => each(i)).join(", ")}]`;
  }

  get asked(): number {
    return [...this.#pages.values()].reduce((sum, page) => sum + page.asked, 0);
  }
  get complete(): number {
    return [...this.#pages.values()].reduce((sum, page) => sum + page.complete.size, 0);
  }

  /** The scrapes, as `page#number`, that were handed on as a whole and did not arrive; without as many as failed in the agent. */
  missing(record: ScrapeRecord): string[] {
    return [...this.#pages].flatMap(([path, page]) =>
      [...page.complete]
        .map((number) => `${path}#${number}`)
        .filter((scrape) => !record.scrapes.has(scrape))
        .slice(record.failed(path)),
    );
  }
}
