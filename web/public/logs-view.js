import { element, emptyState, pairList, timeElement } from "./elements.js";

const LIMIT = 300;

/** Log lines, newest first. Lines that are already shown stay as they are, so that an open one stays open. */
export class LogsView {
  what = "logs";
  #list = element("ol", { class: "rows", "aria-label": "Log lines, newest first" });
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();

  /**
   * @param {import("./agent.js").Viewer} viewer
   * @param {string} filter
   * @param {AbortSignal} signal
   */
  load(viewer, filter, signal) {
    return viewer.find("logs", filter, LIMIT, signal);
  }

  /**
   * @param {HTMLElement} target
   * @param {{ matched: number, kept: number, entries: import("./agent.js").LogLine[] }} found
   * @param {import("./page.js").ViewContext} context
   * @returns {string} a summary
   */
  show(target, found, context) {
    if (found.entries.length === 0) {
      this.#rows.clear();
      this.#list.replaceChildren();
      target.replaceChildren(found.kept === 0 ? nothingYet(context) : context.noMatch(found.kept, "log lines"));
      return "";
    }
    const wanted = new Set(found.entries.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (wanted.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    /** @type {Element | null} */
    let before = this.#list.firstElementChild;
    for (const entry of found.entries) {
      const known = this.#rows.get(entry.id);
      if (known !== undefined) {
        before = known.nextElementSibling;
        continue;
      }
      const row = element("li", {}, renderLine(entry, context));
      this.#rows.set(entry.id, row);
      this.#list.insertBefore(row, before);
    }
    if (this.#list.parentElement !== target) target.replaceChildren(this.#list);
    const shown = found.entries.length;
    return shown < found.matched
      ? `The latest ${shown} of ${found.matched} lines`
      : `${found.matched} ${found.matched === 1 ? "line" : "lines"}`;
  }
}

/**
 * @param {import("./agent.js").LogLine} entry
 * @param {import("./page.js").ViewContext} context
 */
function renderLine({ time, labels, metadata, line }, context) {
  const stream = labels.filter((_, i) => i % 2 === 1).join(" ");
  const details = element(
    "details",
    { class: `narrow log ${levelOf(labels, line)}` },
    element(
      "summary",
      {},
      timeElement(time),
      element("span", { class: "stream quiet", title: stream }, stream),
      element("span", { class: "text mono" }, line),
    ),
  );
  details.addEventListener(
    "toggle",
    () => {
      const content = [element("p", { class: "whole mono" }, line), pairList(labels, context.addToFilter)];
      if (metadata.length > 0)
        content.push(element("p", { class: "quiet" }, "Metadata"), pairList(metadata, context.addToFilter));
      details.append(element("div", { class: "detail" }, ...content));
    },
    { once: true },
  );
  return details;
}

/**
 * @param {readonly string[]} labels
 * @param {string} line
 */
function levelOf(labels, line) {
  const at = labels.findIndex((name, i) => i % 2 === 0 && /^(detected_)?level$|^severity$/.test(name));
  const text =
    at >= 0 ? (labels[at + 1] ?? "") : (/\b(level|lvl|severity)"?[=:] ?"?(\w+)/i.exec(line)?.[2] ?? line.slice(0, 200));
  if (/\b(error|err|fatal|crit(ical)?|panic|emerg|alert)\b/i.test(text)) return "error";
  return /\bwarn(ing)?\b/i.test(text) ? "warn" : "";
}

/** @param {import("./page.js").ViewContext} context */
function nothingYet({ status }) {
  return emptyState(
    "No log lines yet",
    element("p", {}, "They appear here as soon as something sends them to the viewer, such as this component:"),
    element(
      "pre",
      {},
      `loki.write "viewer" {\n  endpoint {\n    url = "${status?.urls.loki_url ?? ""}/loki/api/v1/push"\n  }\n}`,
    ),
  );
}
