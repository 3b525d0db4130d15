/**
 * Names between OpenTelemetry and Prometheus, as pkg/translator/prometheus of the Collector's contrib has them.
 */

/** Units of UCUM and Prometheus's words for them. */
const UNIT_WORDS: readonly (readonly [ucum: string, word: string])[] = [
  ["d", "days"],
  ["h", "hours"],
  ["min", "minutes"],
  ["s", "seconds"],
  ["ms", "milliseconds"],
  ["us", "microseconds"],
  ["ns", "nanoseconds"],
  ["By", "bytes"],
  ["KiBy", "kibibytes"],
  ["MiBy", "mebibytes"],
  ["GiBy", "gibibytes"],
  ["TiBy", "tibibytes"],
  ["KBy", "kilobytes"],
  ["MBy", "megabytes"],
  ["GBy", "gigabytes"],
  ["TBy", "terabytes"],
  ["m", "meters"],
  ["V", "volts"],
  ["A", "amperes"],
  ["J", "joules"],
  ["W", "watts"],
  ["g", "grams"],
  ["Cel", "celsius"],
  ["Hz", "hertz"],
  ["%", "percent"],
];
/** The same for what comes after `per`. */
const RATE_WORDS: readonly (readonly [ucum: string, word: string])[] = [
  ["s", "second"],
  ["m", "minute"],
  ["h", "hour"],
  ["d", "day"],
  ["w", "week"],
  ["mo", "month"],
  ["y", "year"],
];
const reversed = (pairs: readonly (readonly [string, string])[]) => pairs.map(([a, b]) => [b, a] as const);
const TO_WORD: ReadonlyMap<string, string> = new Map([...UNIT_WORDS, ["1", ""]]);
const TO_RATE_WORD: ReadonlyMap<string, string> = new Map(RATE_WORDS);
const FROM_WORD: ReadonlyMap<string, string> = new Map([...reversed(UNIT_WORDS), ["ratio", "1"]]);
const FROM_RATE_WORD: ReadonlyMap<string, string> = new Map(reversed(RATE_WORDS));

/** `bytes_per_second` → `By/s`; words that are no unit stay as they are. */
export function ucumUnit(words: string): string {
  const at = words.indexOf("_per_");
  const main = at < 0 ? words : words.slice(0, at);
  const rate = at < 0 ? "" : words.slice(at + "_per_".length);
  const unit = FROM_WORD.get(main) ?? main;
  return rate === "" ? unit : `${unit}/${FROM_RATE_WORD.get(rate) ?? rate}`;
}

const NO_WORD = /[^\p{L}\p{Nd}]+/u;
const words = (text: string) => text.split(NO_WORD).filter((each) => each !== "");

/** What of a metric decides its name at Prometheus. */
export interface NamedMetric {
  readonly name: string;
  readonly unit: string;
  readonly isGauge: boolean;
  readonly isMonotonicSum: boolean;
}

/** A metric's name at Prometheus: with words for its unit and type (`withSuffixes`), or only without forbidden characters. */
export function prometheusName({ name, unit, isGauge, isMonotonicSum }: NamedMetric, withSuffixes: boolean): string {
  if (!withSuffixes) return underscored(name.split(/[^\p{L}\p{Nd}_:]+/u).filter((each) => each !== ""));
  let tokens = words(name);
  const slash = unit.indexOf("/");
  const main = unitWord(slash < 0 ? unit : unit.slice(0, slash), TO_WORD);
  const rate = slash < 0 ? "" : unitWord(unit.slice(slash + 1), TO_RATE_WORD);
  if (main !== "" && !tokens.includes(main)) tokens.push(main);
  if (rate !== "" && !tokens.includes(rate)) tokens.push("per", rate);
  if (isMonotonicSum) tokens = [...tokens.filter((each) => each !== "total"), "total"];
  if (unit === "1" && isGauge) tokens = [...tokens.filter((each) => each !== "ratio"), "ratio"];
  return underscored(tokens);
}

function underscored(tokens: readonly string[]): string {
  const name = tokens.join("_");
  return /^[0-9]/.test(name) ? `_${name}` : name;
}

function unitWord(unit: string, known: ReadonlyMap<string, string>): string {
  const trimmed = unit.trim();
  if (trimmed === "" || /[{}]/.test(trimmed)) return ""; // an annotation
  return words(known.get(trimmed) ?? trimmed).join("_");
}

/** An attribute's key as a label name; empty stays empty. Matches NormalizeLabel. */
export function labelName(key: string): string {
  const name = key.replace(/[^\p{L}\p{Nd}]/gu, "_");
  if (/^[0-9]/.test(name)) return `key_${name}`;
  return name.startsWith("_") && !name.startsWith("__") ? `key${name}` : name;
}
