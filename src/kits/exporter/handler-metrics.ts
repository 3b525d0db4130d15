import { counter, gauge, type Page } from "./page.ts";

const requests = counter(
  "promhttp_metric_handler_requests_total",
  "Total number of scrapes by HTTP status code.",
  "code",
);
const inFlight = gauge("promhttp_metric_handler_requests_in_flight", "Current number of scrapes being served.");

/** What exporters say about their own scrapes, if they are asked to: client_golang's `promhttp.InstrumentMetricHandler`. */
export class HandlerMetrics {
  #succeeded = 0;
  #failed = 0;
  #inFlight = 0;

  /** Counts a scrape; `collect` adds these metrics to its page with `addTo`. */
  async count<T>(collect: () => Promise<T>): Promise<T> {
    this.#inFlight += 1;
    try {
      const result = await collect();
      this.#succeeded += 1;
      return result;
    } catch (error) {
      this.#failed += 1;
      throw error;
    } finally {
      this.#inFlight -= 1;
    }
  }

  addTo(page: Page): void {
    page.add(inFlight, this.#inFlight);
    page.add(requests, this.#succeeded, "200");
    page.add(requests, this.#failed, "500");
    page.add(requests, 0, "503");
  }
}
