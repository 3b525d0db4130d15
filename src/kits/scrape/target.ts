import { formatPrometheusDuration, parsePrometheusDuration } from "#base/duration";
import { Labels, quote } from "#base/labels";
import { hashBytes } from "#pipeline/series-hash";
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

/** Texts that Go's strconv.ParseBool takes. */
const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Why a set of labels is no target. */
export class TargetError extends Error {
  override readonly name = "TargetError";
}

/** Something to scrape, from its discovered labels: prometheus/scrape/target.go in its rules and messages. */
export class ScrapeTarget {
  /** With `instance` and `job`, without those that start with `__`: what every sample of the target gets. */
  readonly labels: Labels;
  readonly url: URL;
  /** The URL as messages and the API show it: without the password that it may have. */
  readonly shownUrl: string;
  /** What of the discovered labels tells what the target is, with `job`, `instance` and `__scheme__`. */
  readonly discovered: Labels;
  /** Equal for targets that are scraped in the same way. */
  readonly key: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly histograms: TargetHistograms;

  /** Throws a TargetError. */
  constructor(discovered: Labels, defaults: TargetDefaults) {
    const values = new Map<string, string>();
    for (const [name, value] of discovered) if (value !== "") values.set(name, value);
    const setDefault = (name: string, value: string) => {
      if (!values.has(name) && value !== "") values.set(name, value);
    };
    setDefault("job", defaults.jobName);
    setDefault("__scrape_interval__", formatPrometheusDuration(defaults.intervalMs));
    setDefault("__scrape_timeout__", formatPrometheusDuration(defaults.timeoutMs));
    setDefault("__metrics_path__", defaults.metricsPath);
    setDefault("__scheme__", defaults.scheme);
    for (const [name, list] of defaults.params) if (list.length > 0) setDefault(`__param_${name}`, list[0]!);

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
    setDefault("instance", address);
    this.discovered = resourceLabels(Labels.from(values));
    for (const name of [...values.keys()]) if (name.startsWith("__meta_")) values.delete(name);
    const all = Labels.from(values);
    this.labels = all.filter((name) => !name.startsWith("__"));
    this.url = urlOf(values, address, defaults.params);
    this.shownUrl = withoutPassword(this.url);
    this.key = `${all} ${this.url}`;
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

function histogramLabels(values: ReadonlyMap<string, string>): TargetHistograms {
  const convertHistograms = bool(values, "convert_classic_histograms_to_nhcb");
  const classicHistograms = bool(values, "always_scrape_classic_histograms");
  const nativeHistograms = bool(values, "scrape_native_histograms");
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

function withoutPassword(url: URL): string {
  if (url.password === "") return url.href;
  const shown = new URL(url);
  shown.password = "xxxxx";
  return shown.href;
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
    throw new TargetError(`"${scheme}://${address}" is not a valid URL`);
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
