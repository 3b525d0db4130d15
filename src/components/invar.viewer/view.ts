import { type Filter, FilterError, parseFilter } from "#base/filter";
import type { HttpHandler, HttpResponse } from "#pipeline/component";
import { pointsOf } from "./series-store.ts";
import type { Stores } from "./stores.ts";

export interface ViewOptions {
  readonly stores: Stores;
  readonly now: () => number;
  readonly retentionMs: () => number;
  readonly maxBytes: () => number;
  readonly urls: () => Readonly<Record<string, string>>;
  /** Why nothing can arrive, if so. */
  readonly problem: () => string;
}

const MAX_LIMIT = 1000;

/** The page's questions, answered in JSON: `/status`, `/logs`, `/series`, `/traces`, `/traces/ID`. */
export function createView({ stores, now, retentionMs, maxBytes, urls, problem }: ViewOptions): HttpHandler {
  return ({ method, path, query }) => {
    if (method !== "GET" && method !== "HEAD") return plain(405, "method not allowed");
    stores.expire(now() - retentionMs());
    let filter: Filter;
    try {
      filter = parseFilter(query.get("filter") ?? "");
    } catch (error) {
      if (error instanceof FilterError) return plain(400, error.message);
      throw error;
    }
    const asked = Number(query.get("limit") ?? 200);
    const limit = Math.min(MAX_LIMIT, Math.max(1, Number.isFinite(asked) ? Math.floor(asked) : 200));
    switch (path) {
      case "/status":
        return json({
          now: now(),
          retention_ms: retentionMs(),
          memory: { used: Math.round(stores.bytes), limit: maxBytes() },
          problem: problem(),
          urls: urls(),
          logs: { kept: stores.logs.size, received: stores.logs.received, forgotten: stores.logs.evicted },
          series: { kept: stores.series.size, received: stores.series.received, refused: stores.series.refused },
          traces: { kept: stores.traces.size, received: stores.traces.received, forgotten: stores.traces.evicted },
        });
      case "/logs": {
        const { lines, matched } = stores.logs.find(filter, limit);
        const entries = lines.map(({ id, time, labels, metadata, line }) => ({ id, time, labels, metadata, line }));
        return json({ matched, kept: stores.logs.size, entries });
      }
      case "/series": {
        const { series, matched } = stores.series.find(filter, limit);
        const found = series.map((each) => ({
          name: each.name,
          type: stores.series.typeOf(each.name),
          labels: each.labels,
          points: pointsOf(each).map(([time, value]) => [time, Number.isFinite(value) ? value : String(value)]),
        }));
        return json({ matched, kept: stores.series.size, series: found });
      }
      case "/traces":
        return json({ ...stores.traces.find(filter, limit), kept: stores.traces.size });
      default: {
        const trace = stores.traces.get(/^\/traces\/([0-9a-f]+)$/.exec(path)?.[1] ?? "");
        if (trace === undefined) return plain(404, "404 page not found");
        return json({ id: trace.id, spans: trace.spans });
      }
    }
  };
}

function json(value: unknown): HttpResponse {
  return { status: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
}

function plain(status: number, text: string): HttpResponse {
  return { status, headers: { "Content-Type": "text/plain; charset=utf-8" }, body: `${text}\n` };
}
