import { listComponents, Viewer } from "./agent.js";
import { ComponentsView } from "./components-view.js";
import { bytesText, element, emptyState, numberText } from "./elements.js";
import { LogsView } from "./logs-view.js";
import { MetricsView } from "./metrics-view.js";
import { TracesView } from "./traces-view.js";

/**
 * What views may use.
 * @typedef {{ viewer: Viewer, status: import("./agent.js").Status | undefined, addToFilter: (term: string) => void,
 *   noMatch: (kept: number, what: string) => HTMLElement }} ViewContext
 */

const REFRESH_MS = 2000;
const TABS = ["logs", "metrics", "traces", "components"];
const PLACEHOLDERS = /** @type {Record<string, string>} */ ({
  logs: 'Filter lines: error job=web -level=debug "two words"',
  metrics: "Filter series: cpu mode=idle",
  traces: "Filter traces: checkout service=shop",
  components: "Filter components: loki unhealthy",
});

const view = byId("view");
const summary = byId("summary");
const problem = byId("problem");
const filterBox = /** @type {HTMLInputElement} */ (byId("filter"));
const pauseButton = byId("pause");
const tabs = TABS.map((name) => byId(`tab-${name}`));

const components = new ComponentsView();
const views = /** @type {Record<string, LogsView | MetricsView | TracesView>} */ ({
  logs: new LogsView(),
  metrics: new MetricsView(),
  traces: new TracesView(),
});

let tab = "logs";
/** @type {Record<string, string>} */
const filters = {};
let paused = false;
/** @type {AbortController | undefined} */
let running;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {string} id */
function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

/** Asks the agent once and shows the answer; only the newest question counts. */
async function refresh() {
  clearTimeout(timer);
  running?.abort();
  const own = new AbortController();
  running = own;
  try {
    await load(own.signal);
    problem.hidden ||= problem.dataset.kind === "connection";
  } catch (error) {
    if (own.signal.aborted) return;
    showProblem(
      `The agent does not answer as expected (${error instanceof Error ? error.message : error}). Trying again.`,
      "connection",
    );
  }
  if (running === own && !paused && !document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

/** @param {AbortSignal} signal */
async function load(signal) {
  const all = await listComponents(signal);
  const filter = filters[tab] ?? "";
  setCount("components", all.length);
  const found = all.find(({ name }) => name === "invar.viewer");
  const viewer = found && new Viewer(found);
  const status = await viewer?.status(signal);
  showStatus(status);
  const current = views[tab];
  if (tab === "components" || current === undefined) {
    summary.textContent = components.show(view, all, filter);
  } else if (viewer === undefined) {
    summary.textContent = "";
    view.replaceChildren(noViewer());
  } else {
    const answer = await current.load(viewer, filter, signal);
    if (signal.aborted) return;
    summary.textContent = current.show(view, answer, { viewer, status, addToFilter, noMatch });
  }
}

/** @param {import("./agent.js").Status | undefined} status */
function showStatus(status) {
  const memory = byId("memory");
  if (status === undefined) {
    memory.textContent = "";
    return;
  }
  setCount("logs", status.logs.kept);
  setCount("metrics", status.series.kept);
  setCount("traces", status.traces.kept);
  const minutes = Math.round(status.retention_ms / 60_000);
  memory.textContent = `the last ${minutes} min, ${bytesText(status.memory.used)} of ${bytesText(status.memory.limit)}`;
  if (status.problem !== "") showProblem(`The viewer takes no data: ${status.problem}`, "viewer");
  else problem.hidden ||= problem.dataset.kind === "viewer";
}

/**
 * @param {string} text
 * @param {string} kind
 */
function showProblem(text, kind) {
  if (problem.textContent !== text) problem.textContent = text;
  problem.dataset.kind = kind;
  problem.hidden = false;
}

/**
 * @param {string} name
 * @param {number} count
 */
function setCount(name, count) {
  const target = byId(`tab-${name}`).querySelector(".count");
  if (target !== null) target.textContent = numberText(count);
}

/**
 * @param {number} kept
 * @param {string} what
 */
function noMatch(kept, what) {
  const clear = element("button", { type: "button", onclick: () => setFilter("") }, "Clear the filter");
  return emptyState(`None of the ${numberText(kept)} ${what} matches`, clear);
}

function noViewer() {
  return emptyState(
    "This configuration has no viewer",
    element("p", {}, "Name one, and send to it what you want to see here:"),
    element(
      "pre",
      {},
      'invar.viewer "local" { }\n\nloki.write "local" {\n  endpoint {\n    url = invar.viewer.local.loki_url + "/loki/api/v1/push"\n  }\n}',
    ),
    element("button", { type: "button", onclick: () => selectTab("components") }, "Show the components"),
  );
}

/** @param {string} term */
function addToFilter(term) {
  setFilter(`${filterBox.value} ${term}`.trim());
}

/** @param {string} text */
function setFilter(text) {
  filterBox.value = text;
  filters[tab] = text;
  remember();
  void refresh();
}

/** @param {string} name */
function selectTab(name) {
  tab = TABS.includes(name) ? name : "logs";
  for (const each of tabs) {
    const selected = each.dataset.tab === tab;
    each.setAttribute("aria-selected", String(selected));
    each.tabIndex = selected ? 0 : -1;
  }
  view.setAttribute("aria-labelledby", `tab-${tab}`);
  filterBox.value = filters[tab] ?? "";
  filterBox.placeholder = PLACEHOLDERS[tab] ?? "";
  view.replaceChildren();
  summary.textContent = "";
  remember();
  void refresh();
}

/** The address holds tab and filter, so that it can be handed on. */
function remember() {
  const filter = filters[tab] ?? "";
  const hash = `#${tab}${filter === "" ? "" : `?${new URLSearchParams({ filter })}`}`;
  if (location.hash !== hash) history.replaceState(null, "", location.pathname + location.search + hash);
}

function recall() {
  const [name = "", query = ""] = location.hash.slice(1).split("?");
  const filter = new URLSearchParams(query).get("filter");
  if (filter !== null) filters[name] = filter;
  selectTab(name);
}

function togglePause() {
  paused = !paused;
  pauseButton.setAttribute("aria-pressed", String(paused));
  pauseButton.textContent = paused ? "Paused" : "Pause";
  if (paused) clearTimeout(timer);
  else void refresh();
}

for (const each of tabs) {
  each.addEventListener("click", () => selectTab(each.dataset.tab ?? ""));
  each.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = tabs[(tabs.indexOf(each) + step + tabs.length) % tabs.length];
    next?.focus();
    selectTab(next?.dataset.tab ?? "");
  });
}
/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing;
filterBox.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => setFilter(filterBox.value), 150);
});
byId("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  setFilter(filterBox.value);
});
pauseButton.addEventListener("click", togglePause);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) void refresh();
});
window.addEventListener("hashchange", recall);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.activeElement === filterBox) {
    if (event.key === "Escape") filterBox.blur();
    return;
  }
  const index = Number(event.key) - 1;
  if (event.key === "/") {
    event.preventDefault();
    filterBox.focus();
    filterBox.select();
  } else if (event.key === "p") togglePause();
  else if (TABS[index] !== undefined) selectTab(TABS[index]);
});
recall();
