import type { LiveItem, PipeSampleJson } from "../api/json.ts";
import { type Field, itemFields, logfmtLine, traceLines } from "../terminal/logfmt.ts";
import { type OutputStyle, type Paint, painter } from "../terminal/table.ts";
import { type ItemWay, stateText, traceText } from "../terminal/trace-text.ts";
import type { PipeResult } from "./results.ts";

export type PipeFormat = "pretty" | "json" | "logfmt";

/** Results as text, one or more whole lines each. */
export class PipeRenderer {
  readonly #format: PipeFormat;
  readonly #paint: Paint;
  /** What samples go through: their results name no stage. */
  readonly #component: string;
  #number = 0;

  constructor(format: PipeFormat, style: OutputStyle, component: string) {
    this.#format = format;
    this.#paint = painter(style);
    this.#component = component;
  }

  /** What came out, one line; empty for what did not. */
  output(result: PipeResult): string {
    const item = itemOf(result);
    if (item === undefined) return "";
    if (this.#format === "json") return `${JSON.stringify(item)}\n`;
    return `${this.#format === "logfmt" ? logfmtLine(itemFields(item)) : stateText(item, this.#paint)}\n`;
  }

  /** What each stage did. */
  trace(result: PipeResult): string {
    if (this.#format === "json") return `${JSON.stringify(result.kind === "entry" ? result.entry : result.sample)}\n`;
    this.#number += 1;
    const way = this.#way(result);
    if (this.#format === "logfmt") {
      const head: Field[] = [
        ["type", "trace"],
        [result.kind, String(this.#number)],
      ];
      return `${traceLines(head, way).join("\n")}\n`;
    }
    return `${traceText(`${this.#paint("strong", `${result.kind} ${this.#number}`)}: `, way, this.#paint)}\n`;
  }

  #way(result: PipeResult): ItemWay {
    if (result.kind === "sample") return sampleWay(result.sample, this.#component);
    const { before, steps, outcome, after } = result.entry;
    return { before: before ?? after, steps, outcome };
  }
}

function itemOf(result: PipeResult): (LiveItem & { readonly type: "log" | "sample" }) | undefined {
  if (result.kind === "sample") {
    const { after } = result.sample;
    return after === null ? undefined : { type: "sample", ...after };
  }
  const { after } = result.entry;
  if (after === null) return undefined;
  const { timestamp, line, labels, metadata } = after;
  return { type: "log", timestamp, line, labels, metadata };
}

function sampleWay({ before, outcome, reason, after }: PipeSampleJson, stage: string): ItemWay {
  return { before: before ?? after, outcome, steps: [{ stage, outcome, reason, after }] };
}
