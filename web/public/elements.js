/** Building blocks of the page. Text is always set as text, never as markup: it comes from logs. */

/**
 * An element with attributes (`class`, `aria-…`, listeners as `onclick`) and children; strings become text.
 * @param {string} tag
 * @param {Record<string, string | boolean | number | undefined | ((event: Event) => void)>} [attributes]
 * @param {...(Node | string | undefined)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") created.addEventListener(name.slice(2), value);
    else if (value === true) created.setAttribute(name, "");
    else if (value !== undefined && value !== false) created.setAttribute(name, String(value));
  }
  created.append(...children.filter((child) => child !== undefined));
  return created;
}

/**
 * A message in place of content that is not there.
 * @param {string} title
 * @param {...(Node | string | undefined)} content
 */
export function emptyState(title, ...content) {
  return element("div", { class: "empty" }, element("h2", {}, title), ...content);
}

/**
 * Label pairs (flat) as buttons that put them into the filter.
 * @param {readonly string[]} flat
 * @param {(term: string) => void} onPick
 */
export function pairList(flat, onPick) {
  const list = element("ul", { class: "pairs mono" });
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] ?? "";
    const value = flat[i + 1] ?? "";
    const term = /[\s"]/.test(value) ? `${name}="${value.replaceAll('"', "")}"` : `${name}=${value}`;
    const pick = () => onPick(term);
    list.append(
      element(
        "li",
        {},
        element("button", { type: "button", title: "Filter by this", onclick: pick }, `${name}=${value}`),
      ),
    );
  }
  return list;
}

/**
 * `14:03:07.123` in local time.
 * @param {number} epochMs
 */
export function clockTime(epochMs) {
  const date = new Date(epochMs);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const millis = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

/**
 * A time element with the full date in its title.
 * @param {number} epochMs
 */
export function timeElement(epochMs) {
  const valid = Number.isFinite(epochMs) && Math.abs(epochMs) < 8.64e15;
  const full = valid ? new Date(epochMs).toISOString() : "";
  return element("time", { datetime: full, title: full, class: "mono quiet" }, valid ? clockTime(epochMs) : "?");
}

/**
 * `850 µs`, `12.5 ms`, `3.2 s`.
 * @param {number} ms
 */
export function durationText(ms) {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${round(ms)} ms`;
  if (ms < 60_000) return `${round(ms / 1000)} s`;
  return `${round(ms / 60_000)} min`;
}

/**
 * A number for people: thousands are separated, small and large ones get a prefix.
 * @param {number} value
 */
export function numberText(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && magnitude < 0.001) return value.toExponential(2);
  const units = ["", " k", " M", " G", " T", " P"];
  let unit = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 10_000 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return round(scaled) + (units[unit] ?? "");
}

/** @param {number} value */
export function bytesText(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  let scaled = value;
  while (scaled >= 1024 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${Number(scaled.toPrecision(3))} ${units[unit]}`;
}

/** @param {number} value */
function round(value) {
  return String(Number(value.toPrecision(4)));
}
