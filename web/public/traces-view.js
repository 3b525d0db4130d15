import { durationText, element, emptyState, pairList, timeElement } from "./elements.js";

const LIMIT = 100;

/** Traces, newest first; opened, each shows its spans as a waterfall. */
export class TracesView {
  what = "traces";
  #list = element("ol", { class: "rows", "aria-label": "Traces, newest first" });
  /** @type {Map<string, { facts: string, row: HTMLElement }>} */
  #rows = new Map();

  /**
   * @param {import("./agent.js").Viewer} viewer
   * @param {string} filter
   * @param {AbortSignal} signal
   */
  load(viewer, filter, signal) {
    return viewer.find("traces", filter, LIMIT, signal);
  }

  /**
   * @param {HTMLElement} target
   * @param {{ matched: number, kept: number, traces: import("./agent.js").Trace[] }} found
   * @param {import("./page.js").ViewContext} context
   * @returns {string} a summary
   */
  show(target, found, context) {
    if (found.traces.length === 0) {
      this.#rows.clear();
      target.replaceChildren(found.kept === 0 ? nothingYet(context) : context.noMatch(found.kept, "traces"));
      return "";
    }
    const longest = Math.max(...found.traces.map(({ durationMs }) => durationMs));
    /** @type {Map<string, { facts: string, row: HTMLElement }>} */
    const rows = new Map();
    for (const trace of found.traces) {
      const facts = JSON.stringify([trace, longest]);
      const known = this.#rows.get(trace.id);
      // An open one is left alone: its reader is in the middle of it.
      const keep = known !== undefined && (known.facts === facts || known.row.querySelector("details[open]") !== null);
      rows.set(trace.id, keep ? known : { facts, row: element("li", {}, renderTrace(trace, longest, context)) });
    }
    this.#rows = rows;
    const wanted = [...rows.values()].map(({ row }) => row);
    const same =
      wanted.length === this.#list.children.length && wanted.every((row, i) => row === this.#list.children[i]);
    if (!same) this.#list.replaceChildren(...wanted);
    if (this.#list.parentElement !== target) target.replaceChildren(this.#list);
    const shown = found.traces.length;
    return shown < found.matched
      ? `The latest ${shown} of ${found.matched} traces`
      : `${found.matched} ${found.matched === 1 ? "trace" : "traces"}`;
  }
}

/**
 * @param {import("./agent.js").Trace} trace
 * @param {number} longest
 * @param {import("./page.js").ViewContext} context
 */
function renderTrace(trace, longest, context) {
  const { id, name, services, start, durationMs, spans, errors } = trace;
  const width = longest > 0 ? Math.max(1, (durationMs / longest) * 100) : 1;
  const details = element(
    "details",
    { class: `narrow trace ${errors > 0 ? "failed" : ""}` },
    element(
      "summary",
      {},
      timeElement(start),
      element(
        "span",
        { class: "wide" },
        name,
        errors > 0 ? element("span", { class: "mark" }, ` ${errors} failed`) : undefined,
      ),
      element("span", { class: "quiet optional" }, services.join(", ")),
      element("span", { class: "quiet optional" }, `${spans} ${spans === 1 ? "span" : "spans"}`),
      element(
        "span",
        { class: "bar-ground optional", "aria-hidden": "true" },
        element("div", { class: "bar", style: `width:${width}%` }),
      ),
      element("span", { class: "mono" }, durationText(durationMs)),
    ),
  );
  details.addEventListener("toggle", async () => {
    if (!(/** @type {HTMLDetailsElement} */ (details).open)) return;
    details.querySelector(".detail")?.remove();
    const detail = element(
      "div",
      { class: "detail" },
      element("p", { class: "quiet" }, "Trace ", element("code", {}, id)),
    );
    details.append(detail);
    try {
      const { spans: all } = await context.viewer.trace(id);
      detail.append(waterfall(all, context));
    } catch (error) {
      detail.append(element("p", { class: "mark" }, `The spans cannot be had: ${error}`));
    }
  });
  return details;
}

/**
 * @param {import("./agent.js").Span[]} spans
 * @param {import("./page.js").ViewContext} context
 */
function waterfall(spans, context) {
  const begin = Math.min(...spans.map(({ start }) => start));
  const end = Math.max(...spans.map(({ start, durationMs }) => start + durationMs));
  const whole = Math.max(end - begin, 0.001);
  const rows = inTreeOrder(spans).map(({ span, depth }) => {
    const left = ((span.start - begin) / whole) * 100;
    const width = Math.max((span.durationMs / whole) * 100, 0.3);
    const style = `margin-left:${Math.min(left, 99.7)}%;width:${Math.min(width, 100 - Math.min(left, 99.7))}%`;
    return element(
      "li",
      {},
      element(
        "details",
        { class: "span" },
        element(
          "summary",
          {},
          element(
            "span",
            {
              class: "name",
              style: `padding-left:${Math.min(depth, 12) * 0.9}rem`,
              title: `${span.service}: ${span.name}`,
            },
            span.failed ? element("span", { class: "mark" }, "failed ") : undefined,
            span.name,
            " ",
            element("span", { class: "quiet" }, `${span.service} ${span.kind}`),
          ),
          element(
            "span",
            { class: "bar-ground", "aria-hidden": "true" },
            element("div", { class: `bar ${span.failed ? "failed" : ""}`, style }),
          ),
          element("span", { class: "mono" }, durationText(span.durationMs)),
        ),
        element(
          "div",
          { class: "detail" },
          span.message === "" ? undefined : element("p", { class: "mark" }, span.message),
          element(
            "p",
            { class: "quiet" },
            `Begins ${durationText(span.start - begin)} after the trace. Span `,
            element("code", {}, span.id),
          ),
          pairList(span.attributes, context.addToFilter),
        ),
      ),
    );
  });
  return element("ol", { class: "spans", "aria-label": "Spans" }, ...rows);
}

/**
 * Parents before their children, children by their begin; spans whose parent is not there stand at the top.
 * @param {import("./agent.js").Span[]} spans
 * @returns {{ span: import("./agent.js").Span, depth: number }[]}
 */
function inTreeOrder(spans) {
  const known = new Set(spans.map(({ id }) => id));
  /** @type {Map<string, import("./agent.js").Span[]>} */
  const children = new Map();
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const parent = known.has(span.parent) && span.parent !== span.id ? span.parent : "";
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  /** @type {{ span: import("./agent.js").Span, depth: number }[]} */
  const ordered = [];
  const seen = new Set();
  const pending = (children.get("") ?? []).map((span) => ({ span, depth: 0 })).reverse();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next.span)) continue;
    seen.add(next.span);
    ordered.push(next);
    const { depth } = next;
    for (const span of [...(children.get(next.span.id) ?? [])].reverse()) pending.push({ span, depth: depth + 1 });
  }
  // Spans that are each other's ancestors have no top.
  for (const span of spans) if (!seen.has(span)) ordered.push({ span, depth: 0 });
  return ordered;
}

/** @param {import("./page.js").ViewContext} context */
function nothingYet({ status }) {
  return emptyState(
    "No traces yet",
    element(
      "p",
      {},
      "They appear here when an application sends OTLP to the agent and it goes on to the viewer, such as through:",
    ),
    element(
      "pre",
      {},
      `otelcol.exporter.otlphttp "viewer" {\n  client {\n    endpoint = "${status?.urls.otlp_url ?? ""}"\n  }\n}`,
    ),
  );
}
