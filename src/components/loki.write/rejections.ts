import type { DropReason } from "./write-metrics.ts";

/** One kind of what Loki did not take of a request. */
export interface Rejection {
  readonly reason: DropReason;
  /** Loki's words for one of them. */
  readonly text: string;
  readonly remedy: string;
  /** Entries that it speaks of one by one. */
  readonly entries: number;
  /** Streams, by the text of their labels, that it did not take at all. */
  readonly streams: readonly string[];
}

interface Kind {
  readonly texts: RegExp;
  readonly reason: DropReason;
  readonly remedy: string;
  /** What one of Loki's messages is about: an entry, all entries of a stream, or all of the request. */
  readonly of: "entry" | "stream" | "request";
}

/** Texts of Loki's pkg/validation/validate.go, pkg/ingester/stream.go, pkg/chunkenc/interface.go and pkg/loghttp/push/push.go. */
const KINDS: readonly Kind[] = [
  {
    texts: /timestamp too old|reject_old_samples/i,
    reason: "too_old",
    remedy:
      "Loki takes nothing older than its limit (reject_old_samples_max_age, a week unless set): check how the time is parsed, or drop old lines with stage.drop and older_than",
    of: "entry",
  },
  {
    texts: /timestamp too new/i,
    reason: "too_far_in_future",
    remedy:
      "the time lies in the future for Loki (creation_grace_period, 10 minutes unless set): check how it is parsed (location of stage.timestamp) and the clocks",
    of: "entry",
  },
  {
    texts: /too far behind|out of order/i,
    reason: "out_of_order",
    remedy:
      "Loki has much newer entries of the stream: give sources that write at different times a label that tells them apart",
    of: "entry",
  },
  {
    texts: /max entry size|line too long|line_too_long/i,
    reason: "line_too_long",
    remedy: "cut lines with stage.truncate, or raise max_line_size of Loki (or set max_line_size_truncate there)",
    of: "entry",
  },
  {
    texts: /active stream limit/i,
    reason: "stream_limit",
    remedy: "take labels with many values out of the streams, or raise max_global_streams_per_user of Loki",
    of: "stream",
  },
  {
    texts: /structured metadata/i,
    reason: "invalid_metadata",
    remedy: "see stage.structured_metadata and Loki's limits_config for structured metadata",
    of: "entry",
  },
  {
    texts: /at least one label pair/i,
    reason: "invalid_labels",
    remedy: "entries came without labels: give their sources some, or all of them with external_labels",
    of: "stream",
  },
  {
    texts: /required labels/i,
    reason: "invalid_labels",
    remedy: "mend the labels: Loki's owner wants these of each stream, and external_labels gives them to all",
    of: "stream",
  },
  {
    texts: /label names; limit/i,
    reason: "invalid_labels",
    remedy: "mend the labels: fewer of them (stage.label_drop, stage.label_keep), or raise max_label_names_per_series",
    of: "stream",
  },
  {
    texts: /parsing labels|label name|label value/i,
    reason: "invalid_labels",
    remedy: "mend the labels, or drop that one (stage.label_drop)",
    of: "stream",
  },
  {
    texts: /parse labels|stream labels size/i,
    reason: "invalid_labels",
    remedy: "mend the labels, or drop that one (stage.label_drop)",
    of: "request",
  },
  {
    texts: /ingestion blocked/i,
    reason: "blocked",
    remedy: "the server's owner has blocked what this tenant sends",
    of: "request",
  },
  {
    texts: /tenant id|org id/i,
    reason: "invalid_tenant",
    remedy: "check tenant_id and stage.tenant: Loki takes letters, digits and !-_.*'(), 150 characters at most",
    of: "request",
  },
];

/** From 2.9 on Loki says how often it says the same thing, if it says more than one: `2 errors like: …; 1 errors like: …`. */
const NEXT_GROUP = /(?:^|; )(?=\d+ errors like: )/g;
const GROUP = /^(\d+) errors like: (.*)$/s;
/** Of one stream, which it names: several that are too far behind are told of in lines of their own. */
const IGNORED = /total ignored: (\d+) out of \d+ for stream: /;
const LABELS = /\{(?:[a-zA-Z_][\w.]*="(?:[^"\\]|\\.)*"(?:, ?)?)*\}/;
const ALL_LABELS = new RegExp(LABELS, "g");

/**
 * Reads an answer that says which entries were not taken; Loki took the others. The most frequent first; empty for a text
 * that says nothing of entries, so that nothing of the request was taken.
 */
export function readRejections(text: string): readonly Rejection[] {
  const found = new Map<DropReason, { text: string; remedy: string; entries: number; streams: string[] }>();
  for (const part of groupsOf(text)) {
    const group = GROUP.exec(part);
    const message = group?.[2] ?? part;
    const kind = kindOf(message);
    if (kind === undefined || kind.of === "request") return [];
    let sum = found.get(kind.reason);
    if (sum === undefined)
      found.set(kind.reason, (sum = { text: message, remedy: kind.remedy, entries: 0, streams: [] }));
    // One that is not named has no labels.
    if (kind.of === "stream") sum.streams.push(LABELS.exec(message)?.[0] ?? "{}");
    else sum.entries += Number(IGNORED.exec(message)?.[1] ?? group?.[1] ?? 1);
  }
  return [...found]
    .map(([reason, sum]) => ({ reason, ...sum }))
    .sort((a, b) => b.entries + b.streams.length - (a.entries + a.streams.length));
}

function groupsOf(text: string): string[] {
  // Labels may have any text.
  const plain = text.replace(ALL_LABELS, (labels) => "_".repeat(labels.length));
  const groups: string[] = [];
  let end = 0;
  for (const next of plain.matchAll(NEXT_GROUP)) {
    if (next.index > end) groups.push(text.slice(end, next.index));
    end = next.index + next[0].length;
  }
  if (end < text.length) groups.push(text.slice(end));
  return groups;
}

/** What a rejection of the whole request is about. */
export function readRefusal(text: string): { readonly reason: DropReason; readonly remedy: string } {
  const kind = kindOf(text);
  if (kind !== undefined) return kind;
  return { reason: "bad_request", remedy: "the entries were dropped, since sending them again cannot help" };
}

/** The first stream that a text names. */
export function streamIn(text: string): string | undefined {
  return LABELS.exec(text)?.[0];
}

function kindOf(message: string): Kind | undefined {
  // What stands in labels is no word of Loki's.
  const words = message.replace(LABELS, "{}");
  return KINDS.find(({ texts }) => texts.test(words));
}
