import { Labels } from "#base/labels";

/** What a backend says about samples that it will never take. The texts are those of Prometheus, Mimir, Cortex and Thanos. */
export interface Rejection {
  /** Drops are counted under it. */
  readonly reason: string;
  readonly remedy: string;
  /** The series that the answer names. */
  readonly series: Labels | undefined;
  /** What may be done for the others of the request, see `Rejected` in request.ts. */
  readonly rescue: "halves" | "search" | "records" | "none";
}

const SAME_IDENTITY =
  "another collector sends the same series, or the same target is scraped twice: give each collector external_labels of its own";

const KINDS: readonly (readonly [texts: RegExp, reason: string, remedy: string])[] = [
  [/duplicate.timestamp|duplicate sample for timestamp|same timestamp/i, "duplicate_sample", SAME_IDENTITY],
  [/too far in the future|too-far-in-future|timestamp too new/i, "too_far_in_future", "check this machine's clock"],
  [
    /too old sample|too-old|timestamp is too old|out of bounds|greater-than-max-sample-age/i,
    "too_old",
    "the backend has newer samples of this time and takes none that are older; samples that waited for long in the queue may be lost so",
  ],
  [/out of order|out-of-order/i, "out_of_order", SAME_IDENTITY],
  [
    /max-series|series limit|limit of .* series|too many (active )?series/i,
    "series_limit",
    "the tenant may not have more series: see which label takes ever more values, or raise the backend's limit",
  ],
  [
    /invalid label|label.?name|label.?value|metric.?name|err-mimir-(label|max-label|duplicate-label)|number of labels/i,
    "invalid_labels",
    "mend the labels where they are exposed, or with write_relabel_config",
  ],
];

/** Statuses that speak of samples: the others speak of the request as a whole. */
const ABOUT_SAMPLES: ReadonlySet<number> = new Set([400, 409, 422]);
/** Backends that take the good samples of a request before they answer that some were bad. */
const TAKES_THE_OTHERS = /err-mimir-|failed pushing to ingester|conflict|store locally/i;

export function readRejection(status: number, text: string): Rejection {
  const isAboutSamples = ABOUT_SAMPLES.has(status);
  const known = isAboutSamples ? KINDS.find(([texts]) => texts.test(text)) : undefined;
  if (known === undefined) {
    const rescue = status === 413 ? "halves" : isAboutSamples ? "records" : "none";
    return { ...ofRequest(status), series: undefined, rescue };
  }
  const [, reason, remedy] = known;
  return { reason, remedy, series: seriesIn(text), rescue: TAKES_THE_OTHERS.test(text) ? "none" : "search" };
}

function ofRequest(status: number): { readonly reason: string; readonly remedy: string } {
  const reason = `http_${status}`;
  switch (status) {
    case 404:
      return {
        reason,
        remedy:
          "the path of `url` is wrong, and what is sent is dropped: should it be /api/v1/write (Prometheus, with " +
          "--web.enable-remote-write-receiver), /api/v1/push (Mimir) or /api/v1/receive (Thanos)?",
      };
    case 405:
      return { reason, remedy: "the server takes no POST here, and what is sent is dropped: check the path of `url`" };
    case 413:
      return {
        reason: "payload_too_large",
        remedy: "a single sample is larger than the backend takes: see its labels",
      };
    case 415:
      return {
        reason,
        remedy:
          "the server takes no remote write of this version: change protobuf_message, and check the path of `url`",
      };
    case 429:
      return { reason: "rate_limited", remedy: "raise the tenant's limits, send less, or set retry_on_http_429" };
    default:
      return { reason, remedy: "the backend's own log may say more" };
  }
}

const PAIR = /\s*"?([\w.:/-]+)"?\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?/y;
const NAME_CHARACTER = /[\w:]/;
/** Braces that are looked at: an answer with more of them is no text about a series. */
const MAX_BRACES = 20;

/** The first series in a text, as Prometheus writes them: `up{job="a"}` or `{__name__="up", job="a"}`. */
export function seriesIn(text: string): Labels | undefined {
  // Some backends quote the series as a whole, and what is in it once more.
  return firstSeries(text) ?? firstSeries(text.replaceAll('\\"', '"'));
}

function firstSeries(text: string): Labels | undefined {
  let brace = text.indexOf("{");
  for (let tried = 0; brace >= 0 && tried < MAX_BRACES; tried++, brace = text.indexOf("{", brace + 1)) {
    const pairs = new Map<string, string>();
    PAIR.lastIndex = brace + 1;
    let end = brace + 1;
    for (let pair = PAIR.exec(text); pair !== null; pair = PAIR.exec(text)) {
      pairs.set(
        pair[1]!,
        pair[2]!.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char)),
      );
      end = PAIR.lastIndex;
    }
    if (pairs.size === 0 || text[end] !== "}") continue;
    let start = brace;
    while (start > 0 && NAME_CHARACTER.test(text[start - 1]!)) start -= 1;
    if (start < brace) pairs.set("__name__", text.slice(start, brace));
    return Labels.from(pairs);
  }
  return undefined;
}
