import { bytesText, element, emptyState, numberText } from "./elements.js";

/** Every component with its health and what flows through it. */
export class ComponentsView {
  what = "components";

  /**
   * @param {HTMLElement} target
   * @param {readonly import("./agent.js").Component[]} components
   * @param {string} filter
   * @returns {string} a summary
   */
  show(target, components, filter) {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const found = components.filter(({ localID, health, flow }) => {
      const text = `${localID} ${health.state} ${health.message} ${flow?.state} ${flow?.cause}`.toLowerCase();
      return words.every((word) => (word.startsWith("-") ? !text.includes(word.slice(1)) : text.includes(word)));
    });
    if (found.length === 0) {
      const message = components.length === 0 ? "The configuration names no component" : "No component matches";
      target.replaceChildren(emptyState(message));
      return "";
    }
    const titles = ["Component", "Health", "Flow", "In", "Out", "Dropped"];
    const head = titles.map((title, i) => element("th", { scope: "col", class: i > 2 ? "number" : undefined }, title));
    const table = element(
      "table",
      {},
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...found.map(renderComponent)),
    );
    target.replaceChildren(table);
    const unwell = components.filter(({ health }) => health.state !== "healthy").length;
    return `${components.length} components${unwell > 0 ? `, ${unwell} not healthy` : ", all healthy"}`;
  }
}

/** @param {import("./agent.js").Component} component */
function renderComponent({ localID, moduleID, health, flow }) {
  const healthy = health.state === "healthy";
  const sent = flow?.sent.reduce((sum, { items }) => sum + items, 0) ?? 0;
  const dropped = flow?.dropped.reduce((sum, { items }) => sum + items, 0) ?? 0;
  const reasons = flow?.dropped.map(({ reason, items }) => `${reason}: ${items}`).join(", ");
  const states = /** @type {Record<string, string>} */ ({ ok: "good", idle: "", degraded: "warn", failing: "bad" });
  return element(
    "tr",
    {},
    element("th", { scope: "row", class: "mono" }, moduleID ? `${moduleID}/${localID}` : localID),
    element(
      "td",
      {},
      element("span", { class: `state ${healthy ? "good" : health.state === "unknown" ? "" : "bad"}` }, health.state),
      healthy ? undefined : element("div", { class: "quiet" }, health.message),
    ),
    flow === undefined
      ? element("td", { class: "quiet" }, "–")
      : element(
          "td",
          {},
          element("span", { class: `state ${states[flow.state] ?? ""}` }, flow.state),
          flow.cause === "" ? undefined : element("div", { class: "quiet" }, flow.cause),
        ),
    element(
      "td",
      { class: "number", title: flow && bytesText(flow.received.bytes) },
      flow ? numberText(flow.received.items) : "",
    ),
    element("td", { class: "number" }, flow ? numberText(sent) : ""),
    element(
      "td",
      { class: "number", title: reasons },
      dropped > 0 ? element("span", { class: "mark" }, numberText(dropped)) : "",
    ),
  );
}
