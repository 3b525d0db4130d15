import { Labels } from "#base/labels";
import { unquoteGo } from "../logql.ts";

/** A label text that cannot be read. */
export class LabelTextError extends Error {
  override readonly name = "LabelTextError";
}

const METRIC_NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const SPACE = /[ \t\r\n]*/y;

/**
 * Reads a stream's labels as Loki's clients send them, `{a="b", c="d"}`, with what Prometheus's metric syntax allows
 * beside: a metric name in front, quoted names, all three kinds of quotes, a comma at the end. Empty values are left out.
 * Throws LabelTextError.
 */
export function parseLabelText(text: string): Labels {
  let at = 0;
  const pairs = new Map<string, string>();
  const fail = (problem: string): never => {
    const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
    throw new LabelTextError(`cannot read labels ${shown}: ${problem} at character ${at + 1}`);
  };
  const skip = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? "";
    at += found.length;
    return found;
  };
  const quoted = (): string => {
    const quote = text[at]!;
    const open = at + 1;
    for (at = open; at < text.length && text[at] !== quote; at++) if (text[at] === "\\" && quote !== "`") at += 1;
    if (at >= text.length) fail("a string is not closed");
    const inner = text.slice(open, at);
    at += 1;
    if (quote === "`") return inner;
    const value = unquoteGo(quote === "'" ? inner.replace(/\\'/g, "'").replace(/(?<!\\)"/g, '\\"') : inner);
    return value ?? fail("a string has an invalid escape");
  };

  skip(SPACE);
  const metric = skip(METRIC_NAME);
  if (metric !== "") pairs.set("__name__", metric);
  skip(SPACE);
  if (text[at] === "{") {
    at += 1;
    for (;;) {
      skip(SPACE);
      if (text[at] === "}") break;
      const isQuoted = text[at] === '"';
      const name = isQuoted ? quoted() : skip(NAME);
      if (name === "") fail("a label name is missing");
      skip(SPACE);
      if (text[at] !== "=") {
        if (!isQuoted || pairs.has("__name__")) fail('"=" is missing');
        pairs.set("__name__", name);
      } else {
        at += 1;
        skip(SPACE);
        if (text[at] !== '"' && text[at] !== "'" && text[at] !== "`") fail("a value in quotes is missing");
        const value = quoted();
        if (pairs.has(name)) fail(`label ${name} is given twice`);
        if (value !== "") pairs.set(name, value);
      }
      skip(SPACE);
      if (text[at] === ",") at += 1;
      else if (text[at] !== "}") fail('"," or "}" is missing');
    }
    at += 1;
  } else if (metric === "") fail('"{" is missing');
  skip(SPACE);
  if (at < text.length) fail("there is text behind the labels");
  return Labels.from(pairs);
}

const MAX_KNOWN = 10_000;
const MAX_TEXT = 4_096;

/** Remembers label texts that were read, since clients send the same ones over and over. Bounded. */
export class LabelTextCache {
  readonly #known = new Map<string, Labels>();

  /** `parse` is for other forms than that of `parseLabelText`, in texts that cannot be taken for it; what throws is not kept. */
  get(text: string, parse: (text: string) => Labels = parseLabelText): Labels {
    let labels = this.#known.get(text);
    if (labels === undefined) {
      labels = parse(text);
      if (this.#known.size >= MAX_KNOWN) this.#known.clear();
      if (text.length <= MAX_TEXT) this.#known.set(text, labels);
    }
    return labels;
  }
}
