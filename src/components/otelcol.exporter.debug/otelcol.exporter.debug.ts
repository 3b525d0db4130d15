import { appendFile } from "node:fs/promises";
import type { Clock } from "#base/clock";
import { decodeRequest } from "#formats/otlp/decode";
import { OtlpIndex } from "#formats/otlp/otlp";
import { debugMetricsSchema, inputExports } from "#kits/otelcol/schema";
import { s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { detailedText } from "./detailed-text.ts";
import { normalText } from "./normal-text.ts";

const args = s.object({
  verbosity: s
    .oneOf(["basic", "normal", "detailed"], { ignoreCase: true })
    .default("basic")
    .doc("How much is written."),
  sampling_initial: s.int(0).default(2).doc("Messages of a kind that are written in each second."),
  sampling_thereafter: s.int(0).default(1).doc("Of the messages after these, every so manieth is written; 0 for none."),
  use_internal_logger: s.bool().default(true).doc("Write to the agent's own log instead of `output_paths`."),
  output_paths: s.list(s.string()).default(["stdout"]).doc("Files to write to; `stdout` and `stderr` are known."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});

export default defineComponent({
  name: "otelcol.exporter.debug",
  stability: "experimental",
  summary: "Writes traces, metrics and logs to the log, to see what flows.",
  example: `otelcol.exporter.debug "default" {
  verbosity = "normal"
}`,
  args,
  exports: inputExports,

  start(ctx, { verbosity, sampling_initial, sampling_thereafter, use_internal_logger, output_paths }) {
    const sampler = new Sampler(ctx.clock, sampling_initial, sampling_thereafter);
    let written: Promise<void> = Promise.resolve();
    const write = (message: string, fields: Readonly<Record<string, number>>) => {
      if (!sampler.admits(message)) return;
      if (use_internal_logger) return ctx.log.info(message, fields);
      const text = Object.keys(fields).length === 0 ? message : `${message}\t${JSON.stringify(fields)}\n`;
      const line = `${new Date(ctx.clock.now()).toISOString()}\tinfo\t${text}`;
      // One after the other, so that texts do not mix.
      written = written.then(() => append(output_paths, line)).catch((error) => ctx.flow.degraded(String(error)));
    };
    const consume = (batch: OtlpBatch) => {
      write(...summary(batch));
      if (verbosity !== "basic") {
        const request = decodeRequest(batch.kind, batch.parts);
        write(verbosity === "normal" ? normalText(batch.kind, request) : detailedText(batch.kind, request), {});
      }
      batch.acknowledgement.release();
      ctx.flow.ok();
    };
    ctx.stack.defer(() => written);
    ctx.export({ input: ctx.receiver("otlp", consume, { mutates: false }) });
  },
});

const index = new OtlpIndex();

/** What a batch holds, without decoding it. */
function summary({ kind, parts, items }: OtlpBatch): [string, Record<string, number>] {
  let resources = 0;
  let entries = 0;
  for (const part of parts) {
    index.read(kind, part);
    resources += index.resources;
    entries += index.entries;
  }
  index.clear();
  if (kind === "traces") return ["Traces", { "resource spans": resources, spans: items }];
  if (kind === "logs") return ["Logs", { "resource logs": resources, "log records": items }];
  return ["Metrics", { "resource metrics": resources, metrics: entries, "data points": items }];
}

async function append(paths: readonly string[], text: string): Promise<void> {
  for (const path of paths) {
    if (path === "stdout") process.stdout.write(text);
    else if (path === "stderr") process.stderr.write(text);
    else await appendFile(path, text);
  }
}

/** In each second the first messages of a text pass, then every n-th. Matches zap's sampler. */
class Sampler {
  readonly #clock: Clock;
  readonly #initial: number;
  readonly #thereafter: number;
  #second = -1;
  readonly #counts = new Map<string, number>();

  constructor(clock: Clock, initial: number, thereafter: number) {
    this.#clock = clock;
    this.#initial = initial;
    this.#thereafter = thereafter;
  }

  admits(message: string): boolean {
    const second = Math.floor(this.#clock.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#counts.clear();
    }
    const count = (this.#counts.get(message) ?? 0) + 1;
    this.#counts.set(message, count);
    if (count <= this.#initial) return true;
    return this.#thereafter > 0 && (count - this.#initial) % this.#thereafter === 0;
  }
}
