import { emptyCriLine, parseCri } from "#formats/cri";
import { parseRfc3339 } from "#formats/go-time/go-time";
import { type Infer, s } from "#lang/schema";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { type Entry, type HeldEntry, holdEntry, restoreEntry, VALUE_RANGE } from "../entry.ts";
import { labelSetter } from "../label-cache.ts";
import type { Stage, StageContext } from "../stage.ts";

export const criBody = s
  .object({
    max_partial_lines: s.int(1).default(100).doc("How many streams may have an unfinished line at a time."),
    max_partial_line_size: s
      .int(0)
      .default(0)
      .doc("Longest line in bytes, if `max_partial_line_size_truncate` is set."),
    max_partial_line_size_truncate: s.bool().default(false).doc("Whether to cut lines that were put together."),
  })
  .doc("Parses lines of the Kubernetes container runtime interface and puts partial lines together.");

interface Partial {
  held: HeldEntry;
  readonly parts: Uint8Array[];
  bytes: number;
  acknowledgements: readonly Acknowledgement[];
}

/** Alloy's stages/cri.go. Lines that are no CRI lines pass unchanged. */
export function buildCri(args: Infer<typeof criBody>, context: StageContext): Stage {
  const { slots, metrics, log } = context;
  const flags = slots.of("flags");
  const stream = slots.of("stream");
  const content = slots.of("content");
  const time = slots.of("time");
  const setStream = labelSetter(["stream"]);
  const values: string[] = [""];
  const parsed = emptyCriLine();
  const instant = { ms: 0, ns: 0 };
  const unmatched = context.unmatched("are not in the CRI format", "the line is not in the CRI format");
  const joins = context.note("put together with the parts before it");
  const spare = context.spare();
  let partials = new Map<string, Partial>();

  function emitPartial(partial: Partial): void {
    restoreEntry(partial.held, Buffer.concat(partial.parts), partial.acknowledgements, spare);
    context.emit(spare);
  }

  function truncate(partial: Partial): void {
    const limit = args.max_partial_line_size;
    if (!args.max_partial_line_size_truncate || partial.bytes <= limit) return;
    const joined = Buffer.concat(partial.parts).subarray(0, limit);
    partial.parts.splice(0, partial.parts.length, joined);
    partial.bytes = limit;
    metrics.linesTruncated.inc();
  }

  function keepPartial(entry: Entry): void {
    const key = entry.labels.toString();
    const known = partials.get(key);
    if (partials.size >= args.max_partial_lines) {
      log.warn("too many unfinished lines, sending them on as they are", { threshold: args.max_partial_lines });
      metrics.partialLinesFlushed.inc(partials.size);
      const flushed = partials;
      partials = new Map();
      for (const partial of flushed.values()) emitPartial(partial);
    } else if (known !== undefined) {
      known.parts.push(entry.copyLine());
      known.bytes += entry.lineBytes;
      // As in Alloy, the last part's time and extracted values count.
      known.held = holdEntry(entry);
      known.acknowledgements = [...known.acknowledgements, ...known.held.acknowledgements];
      truncate(known);
      return;
    }
    const held = holdEntry(entry);
    const fresh = {
      held,
      parts: [entry.copyLine()],
      bytes: entry.lineBytes,
      acknowledgements: held.acknowledgements,
    };
    truncate(fresh);
    partials.set(key, fresh);
  }

  return {
    kept: "a part of a line (flag P), which waits for the rest",
    sent: "the parts of an unfinished line, without the rest",
    process(entry) {
      const { data } = entry.store;
      if (!parseCri(data, entry.start, entry.end, parsed)) {
        unmatched.add();
        return true;
      }
      const { timeStart, timeEnd, contentStart } = parsed;
      entry.setText(flags, parsed.partial ? "P" : "F");
      values[0] = parsed.stderr ? "stderr" : "stdout";
      entry.setText(stream, values[0]);
      entry.setRange(content, VALUE_RANGE, contentStart, entry.end);
      entry.setRange(time, VALUE_RANGE, timeStart, timeEnd);
      entry.setLineRange(contentStart, entry.end);
      if (parseRfc3339(data, timeStart, timeEnd, instant)) {
        entry.ms = instant.ms;
        entry.ns = instant.ns;
      }
      entry.labels = setStream.get(entry.labels, values);
      if (parsed.partial) {
        keepPartial(entry);
        return false;
      }
      if (partials.size === 0) return true;
      const key = entry.labels.toString();
      const begun = partials.get(key);
      if (begun === undefined) return true;
      partials.delete(key);
      joins.add();
      begun.parts.push(entry.copyLine());
      begun.bytes += entry.lineBytes;
      truncate(begun);
      entry.setLineBytes(Buffer.concat(begun.parts));
      entry.held = [...begun.acknowledgements, ...(entry.held ?? [])];
      return true;
    },
    flush(all) {
      if (!all) return;
      const flushed = partials;
      partials = new Map();
      for (const partial of flushed.values()) emitPartial(partial);
    },
  };
}
