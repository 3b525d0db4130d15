import { timeParser } from "#formats/go-time/formats";
import { TimeZone } from "#formats/go-time/zone";
import { type Infer, s } from "#lang/schema";
import type { Entry } from "../entry.ts";
import { type Stage, type StageContext, StageError } from "../stage.ts";

export const timestampBody = s
  .object({
    source: s.string().nonEmpty().doc("Extracted value that holds the time."),
    format: s.string().nonEmpty().doc("A named format (RFC3339, Unix, UnixMs, …) or a Go reference layout."),
    fallback_formats: s.list(s.string()).default([]).doc("Formats to try if `format` does not fit."),
    location: s.string().default("").doc("IANA name of the time zone of times that name none."),
    action_on_failure: s
      .oneOf(["fudge", "skip"])
      .default("fudge")
      .doc("What to do without a readable time: continue from the stream's last one, or keep the time of arrival."),
    action_on_duplicate_timestamp: s
      .oneOf(["fudge", "keep"])
      .default("fudge")
      .doc("Whether equal times within a stream are made different by a nanosecond."),
  })
  .doc("Sets the entry's time from an extracted value.");

/** How many streams' last times are remembered, as in Alloy. */
const MAX_STREAMS = 10_000;

interface LastTime {
  parsedMs: number;
  parsedNs: number;
  ms: number;
  ns: number;
}

/** Alloy's stages/timestamp.go. */
export function buildTimestamp(args: Infer<typeof timestampBody>, context: StageContext): Stage {
  const slot = context.slots.of(args.source);
  const now = () => context.clock.now();
  const zone = loadZone(args.location);
  const parsers = [args.format, ...args.fallback_formats].map((format) => timeParser(format, zone, now));
  const fudgesFailures = args.action_on_failure === "fudge";
  const fudgesDuplicates = args.action_on_duplicate_timestamp === "fudge";
  const remembers = fudgesFailures || fudgesDuplicates;
  const instant = { ms: 0, ns: 0 };
  const unmatched = context.unmatched(
    `have no time in \`${args.source}\` that fits the format`,
    `\`${args.source}\` holds no time that fits the format`,
  );
  // A Map in order of last use.
  const lastTimes = new Map<string, LastTime>();
  let lastKey: string | undefined;
  let lastTime: LastTime | undefined;

  function recall(entry: Entry): LastTime | undefined {
    const key = entry.labels.toString();
    if (key === lastKey) return lastTime;
    const known = lastTimes.get(key);
    if (known !== undefined) {
      lastTimes.delete(key);
      lastTimes.set(key, known);
    }
    lastKey = key;
    lastTime = known;
    return known;
  }

  function remember(entry: Entry, known: LastTime | undefined, parsedMs: number, parsedNs: number): void {
    if (known !== undefined) {
      known.parsedMs = parsedMs;
      known.parsedNs = parsedNs;
      known.ms = entry.ms;
      known.ns = entry.ns;
      return;
    }
    if (lastTimes.size >= MAX_STREAMS) {
      const [oldest] = lastTimes.keys();
      if (oldest !== undefined) lastTimes.delete(oldest);
    }
    lastTime = { parsedMs, parsedNs, ms: entry.ms, ns: entry.ns };
    lastTimes.set(entry.labels.toString(), lastTime);
  }

  function parse(text: string): boolean {
    for (let i = 0; i < parsers.length; i++) if (parsers[i]!(text, instant)) return true;
    return false;
  }

  return {
    process(entry) {
      const text = entry.text(slot);
      if (text === undefined || !parse(text)) {
        unmatched.add();
        if (!fudgesFailures) return true;
        const known = recall(entry);
        if (known === undefined) return true;
        setAfter(entry, known);
        known.ms = entry.ms;
        known.ns = entry.ns;
        return true;
      }
      entry.ms = instant.ms;
      entry.ns = instant.ns;
      if (!remembers) return true;
      const known = recall(entry);
      const duplicate = known !== undefined && known.parsedMs === instant.ms && known.parsedNs === instant.ns;
      if (fudgesDuplicates && duplicate) setAfter(entry, known);
      remember(entry, known, instant.ms, instant.ns);
      return true;
    },
  };
}

/** A nanosecond after the stream's last time. */
function setAfter(entry: Entry, last: LastTime): void {
  entry.ms = last.ms;
  entry.ns = last.ns + 1;
  if (entry.ns === 1_000_000) {
    entry.ms += 1;
    entry.ns = 0;
  }
}

function loadZone(name: string): TimeZone {
  try {
    return TimeZone.load(name);
  } catch (cause) {
    throw new StageError(`\`location\` names no time zone: ${(cause as Error).message}`, { cause });
  }
}
