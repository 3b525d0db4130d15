import { clockTime, element, emptyState, numberText } from "./elements.js";

const LIMIT = 100;
const WIDTH = 160;
const HEIGHT = 30;
const COUNTERS = /_(total|count|sum|bucket)$/;

/** Series with their last value and a small plot; counters are plotted as their increase per second. */
export class MetricsView {
  what = "series";

  /**
   * @param {import("./agent.js").Viewer} viewer
   * @param {string} filter
   * @param {AbortSignal} signal
   */
  load(viewer, filter, signal) {
    return viewer.find("series", filter, LIMIT, signal);
  }

  /**
   * @param {HTMLElement} target
   * @param {{ matched: number, kept: number, series: import("./agent.js").Series[] }} found
   * @param {import("./page.js").ViewContext} context
   * @returns {string} a summary
   */
  show(target, found, context) {
    if (found.series.length === 0) {
      target.replaceChildren(found.kept === 0 ? nothingYet(context) : context.noMatch(found.kept, "series"));
      return "";
    }
    const titles = /** @type {const} */ ([
      ["Series", ""],
      ["Last minutes", "plotted"],
      ["Now", "number"],
      ["Least", "number optional"],
      ["Most", "number optional"],
    ]);
    const head = titles.map(([title, style]) => element("th", { scope: "col", class: style }, title));
    const body = element("tbody", {}, ...found.series.map(renderSeries));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), body);
    target.replaceChildren(table);
    const shown = found.series.length;
    return shown < found.matched
      ? `${shown} of ${found.matched} series; filter to see the others`
      : `${found.matched} series`;
  }
}

/** @param {import("./agent.js").Series} series */
function renderSeries({ name, type, labels, points }) {
  const isCounter = type === "counter" || (type !== "gauge" && COUNTERS.test(name));
  const values = points.map(([time, value]) => /** @type {[number, number]} */ ([time, Number(value)]));
  const plotted = isCounter ? perSecond(values) : values;
  const finite = plotted.map(([, value]) => value).filter(Number.isFinite);
  const unit = isCounter ? "/s" : "";
  const last = finite.at(-1) ?? Number.NaN;
  const least = finite.length === 0 ? Number.NaN : Math.min(...finite);
  const most = finite.length === 0 ? Number.NaN : Math.max(...finite);
  const total = isCounter ? `total ${numberText(values.at(-1)?.[1] ?? Number.NaN)}` : undefined;
  return element(
    "tr",
    {},
    element(
      "th",
      { scope: "row" },
      element("span", { class: "mono" }, name),
      " ",
      type === "" ? undefined : element("span", { class: "quiet" }, type),
      element("div", { class: "labels mono quiet" }, labelText(labels)),
    ),
    element("td", {}, plot(plotted)),
    element("td", { class: "number", title: total }, numberText(last) + unit),
    element("td", { class: "number optional quiet" }, numberText(least) + unit),
    element("td", { class: "number optional quiet" }, numberText(most) + unit),
  );
}

/** @param {readonly string[]} flat */
function labelText(flat) {
  const pairs = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push(`${flat[i]}="${flat[i + 1]}"`);
  return pairs.join(", ");
}

/**
 * The increase per second between points; a reset counts from zero.
 * @param {readonly [number, number][]} points
 * @returns {[number, number][]}
 */
function perSecond(points) {
  /** @type {[number, number][]} */
  const rates = [];
  for (let i = 1; i < points.length; i++) {
    const [before, low] = points[i - 1] ?? [0, 0];
    const [time, high] = points[i] ?? [0, 0];
    const seconds = (time - before) / 1000;
    if (seconds > 0) rates.push([time, (high >= low ? high - low : high) / seconds]);
  }
  return rates;
}

/**
 * A line over time, with gaps where there is no value. Its facts are in the table beside it.
 * @param {readonly [number, number][]} points
 */
function plot(points) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "plot");
  svg.setAttribute("aria-hidden", "true");
  const finite = points.filter(([, value]) => Number.isFinite(value));
  const [first, last] = [finite[0], finite.at(-1)];
  if (first === undefined || last === undefined) return svg;
  const low = Math.min(...finite.map(([, value]) => value));
  const high = Math.max(...finite.map(([, value]) => value));
  const x = (/** @type {number} */ time) =>
    last[0] === first[0] ? WIDTH / 2 : ((time - first[0]) / (last[0] - first[0])) * WIDTH;
  const y = (/** @type {number} */ value) =>
    high === low ? HEIGHT / 2 : HEIGHT - 2 - ((value - low) / (high - low)) * (HEIGHT - 4);
  let line = "";
  let pen = "M";
  for (const [time, value] of points) {
    if (Number.isFinite(value)) {
      line += `${pen}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    } else pen = "M";
  }
  if (finite.length === 1) line += "h0.1";
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", line);
  path.setAttribute("stroke-linecap", "round");
  const title = document.createElementNS(space, "title");
  title.textContent = `${clockTime(first[0])} – ${clockTime(last[0])}`;
  svg.append(title, path);
  return svg;
}

/** @param {import("./page.js").ViewContext} context */
function nothingYet({ status }) {
  return emptyState(
    "No series yet",
    element("p", {}, "They appear here with the first scrape that reaches the viewer, such as through this component:"),
    element(
      "pre",
      {},
      `prometheus.remote_write "viewer" {\n  endpoint {\n    url = "${status?.urls.prometheus_url ?? ""}/api/v1/write"\n  }\n}`,
    ),
  );
}
