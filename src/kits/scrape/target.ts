import { hash } from "node:crypto";
import { formatPrometheusDuration, parsePrometheusDuration } from "#base/duration";
import { Labels, quote } from "#base/labels";
import { hashBytes } from "#pipeline/series-hash";
import { shownUrl } from "../http/url.ts";
import { resourceLabels } from "../otlp/scrape-resource.ts";

/** What a scrape configuration says of each of its targets. */
export interface TargetDefaults {
  readonly jobName: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly metricsPath: string;
  readonly scheme: string;
  readonly params: ReadonlyMap<string, readonly string[]>;
}

/** What labels of a target say in the place of the arguments about histograms. */
export interface TargetHistograms {
  readonly nativeHistograms?: boolean;
  readonly classicHistograms?: boolean;
  readonly convertHistograms?: boolean;
}

const AS_CONFIGURED: TargetHistograms = {};

/** Texts that Go's strconv.ParseBool takes. */
const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Why a set of labels is no target. */
class TargetError extends Error {
  override readonly name = "TargetError";
}

/**
 * Something to scrape, from its discovered labels: prometheus/scrape/target.go in its rules and messages. There may be
 * tens of thousands, so what can be worked out again is not kept.
 */
export class ScrapeTarget {
  /** With `instance` and `job`, without those that start with `__`: what every sample of the target gets. */
  readonly labels: Labels;
  readonly href: string;
  /** Equal for targets that are scraped in the same way: a hash, since all it is made of would be long. */
  readonly key: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly histograms: TargetHistograms;
  readonly #found: Labels;
  readonly #defaults: TargetDefaults;
  #discovered: Labels | undefined;

  /** Throws a TargetError. */
  constructor(found: Labels, defaults: TargetDefaults) {
    this.#found = found;
    this.#defaults = defaults;
    const values = completed(found, defaults);
    const address = values.get("__address__");
    if (address === undefined) throw new TargetError("no address");
    if (address.includes("/")) throw new TargetError(`"${address}" is not a valid hostname`);
    this.intervalMs = duration(values.get("__scrape_interval__")!, "interval");
    this.timeoutMs = duration(values.get("__scrape_timeout__")!, "timeout");
    if (this.timeoutMs > this.intervalMs) {
      throw new TargetError(
        `scrape timeout cannot be greater than scrape interval ("${values.get("__scrape_timeout__")}" > "${values.get("__scrape_interval__")}")`,
      );
    }
    this.histograms = histogramLabels(values);
    for (const name of [...values.keys()]) if (name.startsWith("__meta_")) values.delete(name);
    const all = Labels.from(values);
    // In an array of their own and no longer than they are.
    this.labels = Labels.fromSorted(all.filter((name) => !name.startsWith("__")).flat.slice());
    this.href = urlOf(values, address, defaults.params).href;
    this.key = hash("sha1", `${all} ${this.href}`, "base64");
  }

  /** Made anew for each call. */
  get url(): URL {
    return new URL(this.href);
  }
  /** The URL as messages and the API show it: without what may be secret in it. Made anew for each call. */
  get shownUrl(): string {
    return shownUrl(this.href);
  }

  /** What of the discovered labels tells what the target is, with `job`, `instance` and `__scheme__`. */
  get discovered(): Labels {
    this.#discovered ??= resourceLabels(Labels.from(completed(this.#found, this.#defaults)));
    return this.#discovered;
  }

  /**
   * Milliseconds until the target's next turn: turns of different targets spread over the interval and stay where they
   * are, over restarts as well. `seed` is of the machine, so that two agents do not ask a target at the same time.
   */
  offsetMs(now: number, seed: number): number {
    const { intervalMs } = this;
    const bytes = Buffer.from(this.key);
    const turn = Math.floor((((hashBytes(bytes, 0, bytes.length) ^ seed) >>> 0) / 2 ** 32) * intervalMs);
    return (((turn - now) % intervalMs) + intervalMs) % intervalMs;
  }
}

/** What was discovered, with what the configuration says where that says nothing. Labels without a value are left out. */
function completed(found: Labels, defaults: TargetDefaults): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of found) if (value !== "") values.set(name, value);
  const setDefault = (name: string, value: string) => {
    if (!values.has(name) && value !== "") values.set(name, value);
  };
  setDefault("job", defaults.jobName);
  setDefault("__scrape_interval__", formatPrometheusDuration(defaults.intervalMs));
  setDefault("__scrape_timeout__", formatPrometheusDuration(defaults.timeoutMs));
  setDefault("__metrics_path__", defaults.metricsPath);
  setDefault("__scheme__", defaults.scheme);
  for (const [name, list] of defaults.params) if (list.length > 0) setDefault(`__param_${name}`, list[0]!);
  setDefault("instance", values.get("__address__") ?? "");
  return values;
}

function histogramLabels(values: ReadonlyMap<string, string>): TargetHistograms {
  const convertHistograms = bool(values, "convert_classic_histograms_to_nhcb");
  const classicHistograms = bool(values, "always_scrape_classic_histograms");
  const nativeHistograms = bool(values, "scrape_native_histograms");
  if (convertHistograms === undefined && classicHistograms === undefined && nativeHistograms === undefined) {
    return AS_CONFIGURED;
  }
  return {
    ...(convertHistograms !== undefined && { convertHistograms }),
    ...(classicHistograms !== undefined && { classicHistograms }),
    ...(nativeHistograms !== undefined && { nativeHistograms }),
  };
}

function bool(values: ReadonlyMap<string, string>, name: string): boolean | undefined {
  const text = values.get(`__${name}__`);
  if (text === undefined || TRUE.has(text) || FALSE.has(text)) return text === undefined ? undefined : TRUE.has(text);
  const what = name.replaceAll("_", " ");
  throw new TargetError(`error parsing ${what}: strconv.ParseBool: parsing ${quote(text)}: invalid syntax`);
}

function urlOf(values: ReadonlyMap<string, string>, address: string, params: TargetDefaults["params"]): URL {
  const query = new Map([...params].map(([name, list]) => [name, [...list]]));
  for (const [label, value] of values) {
    if (!label.startsWith("__param_")) continue;
    const name = label.slice("__param_".length);
    const list = query.get(name);
    if (list !== undefined && list.length > 0) list[0] = value;
    else query.set(name, [value]);
  }
  const scheme = values.get("__scheme__") ?? "http";
  let url: URL;
  try {
    url = new URL(`${scheme}://${address}`);
  } catch {
    throw new TargetError(`"${shownUrl(`${scheme}://${address}`)}" is not a valid URL`);
  }
  const path = values.get("__metrics_path__") ?? "/";
  url.pathname = path.replaceAll("%", "%25");
  for (const name of [...query.keys()].sort())
    for (const value of query.get(name)!) url.searchParams.append(name, value);
  return url;
}

function duration(text: string, what: "interval" | "timeout"): number {
  let ms: number;
  try {
    ms = parsePrometheusDuration(text);
  } catch (error) {
    throw new TargetError(`error parsing scrape ${what}: ${(error as Error).message}`);
  }
  if (ms === 0) throw new TargetError(`scrape ${what} cannot be 0`);
  return ms;
}
