import { type Infer, s } from "#lang/schema";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { type Entry, type HeldEntry, holdEntry, restoreEntry, takeReferences } from "../entry.ts";
import type { Stage, StageContext } from "../stage.ts";

export const multilineBody = s
  .object({
    firstline: s.regex().doc("RE2 expression that the first line of a block matches."),
    max_lines: s.int(0).default(128).doc("Most lines in a block; 0 for no limit."),
    max_wait_time: s.duration().default("3s").doc("How long to wait for more lines of a block."),
    trim_newlines: s.bool().default(true).doc("Whether newlines at the end of each line are removed."),
  })
  .rule("firstline", (args) => args.firstline.source !== "", "must not be empty")
  .rule("max_wait_time", (args) => args.max_wait_time > 0, "must be greater than 0")
  .doc("Joins lines into blocks.");

interface Block {
  /** The first line's context, which stays for lines after a block that was cut at `max_lines`. */
  first: HeldEntry;
  lines: Uint8Array[];
  acknowledgements: Acknowledgement[];
  lastSeen: number;
}

const NEWLINE = Buffer.from("\n");

/** Alloy's stages/multiline.go. Lines before a stream's first start line pass unchanged. */
export function buildMultiline(args: Infer<typeof multilineBody>, context: StageContext): Stage {
  const { clock } = context;
  const blocks = new Map<string, Block>();
  const spare = context.spare();
  const outside = context.note("no match: the line begins no block, and none has begun");
  let lastKey = "";
  let lastLabels: Entry["labels"] | undefined;

  function flushBlock(block: Block): void {
    if (block.lines.length === 0) return;
    const { lines, acknowledgements } = block;
    block.lines = [];
    block.acknowledgements = [];
    restoreEntry(block.first, joinLines(lines), acknowledgements, spare);
    context.emit(spare);
  }

  function trimmed(entry: Entry): Uint8Array {
    const { data } = entry.store;
    let { end } = entry;
    if (args.trim_newlines) while (end > entry.start && (data[end - 1] === 0x0a || data[end - 1] === 0x0d)) end -= 1;
    return new Uint8Array(data.subarray(entry.start, end));
  }

  return {
    kept: "a line of a block, which waits for the rest",
    sent: "the lines of a block",
    process(entry) {
      if (entry.labels !== lastLabels) {
        lastLabels = entry.labels;
        lastKey = entry.labels.toString();
      }
      const key = lastKey;
      const now = clock.monotonic();
      let block = blocks.get(key);
      if (block !== undefined && now - block.lastSeen >= args.max_wait_time) flushBlock(block);
      const isFirst = args.firstline.test(entry.line);
      if (block === undefined && !isFirst) {
        outside.add();
        return true;
      }
      if (block !== undefined && isFirst) flushBlock(block);
      if (block === undefined || isFirst) {
        const first = holdEntry(entry);
        const acknowledgements = [...first.acknowledgements];
        if (block === undefined) blocks.set(key, (block = { first, lines: [], acknowledgements, lastSeen: now }));
        else {
          block.first = first;
          block.acknowledgements = acknowledgements;
        }
      } else block.acknowledgements.push(...takeReferences(entry));
      block.lines.push(trimmed(entry));
      block.lastSeen = now;
      if (block.lines.length === args.max_lines) flushBlock(block);
      return false;
    },
    flush(all) {
      const now = clock.monotonic();
      for (const [key, block] of blocks) {
        if (!all && now - block.lastSeen < args.max_wait_time) continue;
        blocks.delete(key);
        flushBlock(block);
      }
    },
  };
}

/** Joins with newlines; as in Alloy, none is put before the first line that is not empty. */
function joinLines(lines: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const line of lines) {
    if (length > 0) {
      parts.push(NEWLINE);
      length += 1;
    }
    parts.push(line);
    length += line.length;
  }
  return Buffer.concat(parts, length);
}
