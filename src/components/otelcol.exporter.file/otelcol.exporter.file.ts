import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { RESOURCE } from "#formats/otlp/fields";
import { requestToJson } from "#formats/otlp/json";
import { joinParts, type OtlpKind } from "#formats/otlp/otlp";
import { AttributeKey } from "#formats/otlp/values";
import { ProtobufError } from "#formats/protobuf";
import { exporterInstruments, exporterMetrics } from "#kits/otelcol/metrics";
import { RequestPartition } from "#kits/otelcol/partition";
import { SendError } from "#kits/otelcol/retry";
import { debugMetricsSchema, inputExports, queueSchema, retrySchema } from "#kits/otelcol/schema";
import { OtlpSender } from "#kits/otelcol/sender";
import { defaultsOf } from "#lang/decode";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { FileSet, type Framing } from "./file-set.ts";
import { groupedPath } from "./grouped-path.ts";

const rotationSchema = s.object({
  max_megabytes: s.int(0).default(100).doc("Size from which a file is put aside (MiB); 0 for 100."),
  max_days: s.int(0).default(0).doc("Days after which files that were put aside are removed; 0 for never."),
  max_backups: s.int(0).default(100).doc("How many files that were put aside are kept; 0 for all."),
  localtime: s.bool().default(false).doc("Local time in the names of files that were put aside, instead of UTC."),
});

const groupBySchema = s.object({
  enabled: s.bool().default(false).doc("Write resources to several files; `path` has a * for the part that differs."),
  resource_attribute: s
    .string()
    .default("fileexporter.path_segment")
    .doc("Attribute of resources whose text takes the place of the *."),
  max_open_files: s.int(1).default(100).doc("Most files that are open at once."),
});

const args = s
  .object({
    path: s.string().doc("File to write to; a relative one begins in the agent's working directory."),
    append: s.bool().default(false).doc("Go on behind what is in the file, instead of emptying it at the start."),
    format: s.oneOf(["json", "proto"]).default("json").doc("How requests are written."),
    encoding: s
      .string()
      .default("")
      .unsupported("there are no encoding extensions, as in Alloy: use `format`")
      .doc("An encoding extension."),
    compression: s.oneOf(["", "zstd"]).default("").doc("How each request is packed."),
    flush_interval: s.duration().default("1s").doc("Longest time for which data is gathered; 0 to write at once."),
    rotation: s.block(rotationSchema).doc("Puts files aside that have become large."),
    compression_params: s
      .block(s.object({ level: s.int().doc("Level of the compression, as zstd numbers them; 0 for its default.") }))
      .doc("How hard to compress."),
    group_by: s.block(groupBySchema).doc("Writes to files by an attribute of the resource."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("path", (a) => a.path !== "", "must not be empty")
  .rule("append", (a) => !a.append || a.rotation === undefined, "is not possible together with `rotation`")
  .rule("flush_interval", (a) => a.flush_interval >= 0, "must not be negative")
  .rule(
    "path",
    (a) => !a.group_by?.enabled || a.path.split("*").length === 2,
    "must have exactly one * with `group_by`",
  )
  .rule("path", (a) => !a.group_by?.enabled || !a.path.startsWith("*"), "must not begin with * with `group_by`")
  .rule(
    "group_by.resource_attribute",
    (a) => !a.group_by?.enabled || a.group_by.resource_attribute !== "",
    "must not be empty",
  );
type Arguments = Infer<typeof args>;

const compress = promisify(zstdCompress);

/** Matches exporter/fileexporter of the Collector, whose files other programs read. */
export default defineComponent({
  name: "otelcol.exporter.file",
  stability: "public-preview",
  summary: "Writes traces, metrics and logs to files.",
  example: `otelcol.exporter.file "default" {
  path = "/var/lib/alloy/telemetry.json"
}`,
  args,
  exports: inputExports,
  metrics: exporterMetrics,

  start(ctx, given) {
    const files = new FileSet(ctx, {
      append: given.append,
      framing: framingOf(given),
      flushIntervalMs: given.flush_interval,
      rotation: given.rotation,
      makesFolders: given.group_by?.enabled === true,
      maxOpenFiles: given.group_by?.enabled ? given.group_by.max_open_files : 1,
    });
    const sender = new OtlpSender(ctx, exporterInstruments(ctx.metrics, `file/${ctx.id}`), {
      // The Collector has neither queue nor retries here; what waits to be written is bounded by the files' own buffers.
      queue: { ...defaultsOf(queueSchema), enabled: false },
      retry: { ...defaultsOf(retrySchema), enabled: false },
      destination: given.path,
      handsOn: true,
      send: given.group_by?.enabled ? sendGrouped(given, given.group_by.resource_attribute) : sendWhole,
    });
    ctx.rule("file", () => files.judge());
    ctx.stack.defer(async () => {
      await sender.close();
      const lost = await files.close();
      if (lost > 0) ctx.flow.drop("otlp", "shutdown", lost);
    });
    ctx.export({
      input: ctx.receiver("otlp", (batch, signal) => sender.consume(batch, signal), { mutates: false }),
    });
    if (given.group_by?.enabled !== true) ctx.run(() => files.open(given.path));
    return {
      async drain(deadline) {
        await sender.drain(deadline);
        await files.flush(deadline);
      },
    };

    async function sendWhole(batch: OtlpBatch, signal: AbortSignal) {
      await write(given.path, batch, batch.parts, batch.items, signal);
      return { rejected: 0, message: "" };
    }

    /** Resources without the attribute are dropped, as in the Collector, and counted. */
    function sendGrouped({ path }: Arguments, attribute: string) {
      const partition = new RequestPartition();
      const key = new AttributeKey(attribute);
      return async (batch: OtlpBatch, signal: AbortSignal) => {
        const paths: string[] = [];
        let homeless = batch.items;
        let chunks: ReturnType<RequestPartition["write"]>;
        try {
          partition.read(batch.kind, joinParts(batch.parts));
          const numbers = new Map<string, number>();
          for (let r = 0; r < partition.index.resources; r++) {
            const segment = partition.resource(r).map(RESOURCE.attributes).get(key);
            if (typeof segment !== "string") continue;
            const target = groupedPath(path, segment);
            let number = numbers.get(target);
            if (number === undefined) {
              numbers.set(target, (number = paths.length));
              paths.push(target);
            }
            partition.setResource(r, number);
          }
          chunks = partition.write(paths.length);
        } catch (error) {
          if (!(error instanceof ProtobufError)) throw error;
          throw new SendError("malformed", error.message, { retryable: false });
        } finally {
          partition.clear();
        }
        for (const [i, chunk] of chunks.entries()) {
          if (chunk === undefined) continue;
          homeless -= chunk.items;
          await write(paths[i]!, batch, [chunk.bytes], chunk.items, signal);
        }
        const message = `resources have no text in ${attribute}, which says the file`;
        return { rejected: homeless, message: homeless === 0 ? "" : message, reason: "no_path_segment" };
      };
    }

    /** Resolves once the file's buffer has the record; the batch is acknowledged when the file has it. */
    async function write(
      path: string,
      { kind, acknowledgement }: OtlpBatch,
      parts: readonly Uint8Array[],
      items: number,
      signal: AbortSignal,
    ): Promise<void> {
      const record = await encode(given, kind, parts);
      acknowledgement.retain();
      try {
        await files.write(path, { bytes: record, items, onWritten: () => acknowledgement.release() }, signal);
      } catch (error) {
        acknowledgement.release();
        throw error;
      }
    }
  },
});

/** Packed requests are told apart by their lengths, whatever the format. */
function framingOf({ format, compression }: Arguments): Framing {
  return format === "json" && compression === "" ? "lines" : "lengths";
}

async function encode(given: Arguments, kind: OtlpKind, parts: readonly Uint8Array[]): Promise<Uint8Array> {
  let content: Uint8Array;
  try {
    content = given.format === "proto" ? joinParts(parts) : Buffer.from(requestToJson(kind, parts));
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    throw new SendError("malformed", error.message, { retryable: false });
  }
  if (given.compression === "zstd") {
    const level = given.compression_params?.level ?? 0;
    const params = level === 0 ? {} : { [constants.ZSTD_c_compressionLevel]: Math.min(22, Math.max(1, level)) };
    content = await compress(content, { params });
  }
  if (framingOf(given) === "lines") return Buffer.concat([content, Buffer.from("\n")]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}
