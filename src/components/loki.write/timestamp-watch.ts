import { roughDuration } from "#base/duration";
import type { Labels } from "#base/labels";
import type { LogBatch } from "#pipeline/batch";
import type { Judgement } from "#pipeline/flow";

/** No clock that somebody cares for is so far ahead, and Loki takes up to twice as much (creation_grace_period). */
const FUTURE_MS = 5 * 60_000;
/** Loki refuses what is older (reject_old_samples_max_age). */
const OLD_MS = 7 * 24 * 3_600_000;
/** Offsets of time zones are multiples of this; all entries must have about the same. */
const ZONE_MS = 30 * 60_000;
const ZONE_SPREAD_MS = 2 * 60_000;

/** A window is judged when it has lasted this long with so many samples, … */
const SHORT_MS = 10_000;
const SHORT_SAMPLES = 20;
/** … or this long with a few. */
const LONG_MS = 60_000;
const LONG_SAMPLES = 2;

/**
 * Compares the times of entries with the clock when they come: those of the first and the last of each batch, which is
 * enough to see a time zone that nobody told of, a year that was not parsed, and a source with a wrong clock.
 */
export class TimestampWatch {
  #begin: number;
  #samples = 0;
  #future = 0;
  #futureSum = 0;
  #old = 0;
  #oldSum = 0;
  /** Extremes of time minus now. */
  #least = Infinity;
  #most = -Infinity;
  #example: Labels | undefined;
  #found: Judgement;

  constructor(now: number) {
    this.#begin = now;
  }

  take(batch: LogBatch, now: number): void {
    if (batch.count === 0) return;
    this.#look(batch, 0, now);
    this.#look(batch, batch.count - 1, now);
  }

  #look(batch: LogBatch, entry: number, now: number): void {
    const ahead = batch.ms[entry]! - now;
    this.#samples += 1;
    if (ahead < this.#least) this.#least = ahead;
    if (ahead > this.#most) this.#most = ahead;
    if (ahead > FUTURE_MS) {
      this.#future += 1;
      this.#futureSum += ahead;
    } else if (ahead < -OLD_MS) {
      this.#old += 1;
      this.#oldSum -= ahead;
    } else if (ahead > -ZONE_MS / 2) return;
    this.#example = batch.streams[batch.stream[entry]!];
  }

  /** What the last window showed. */
  judge(now: number): Judgement {
    if (this.#samples === 0) this.#begin = now;
    const lasted = now - this.#begin;
    const isOver =
      (lasted >= SHORT_MS && this.#samples >= SHORT_SAMPLES) || (lasted >= LONG_MS && this.#samples >= LONG_SAMPLES);
    // A steady offset shows in a long window only.
    if (isOver && (this.#isSteady() === undefined || lasted >= LONG_MS)) this.#close(now);
    return this.#found;
  }

  #close(now: number): void {
    this.#found = this.#conclude();
    this.#begin = now;
    this.#samples = this.#future = this.#futureSum = this.#old = this.#oldSum = 0;
    this.#least = Infinity;
    this.#most = -Infinity;
    this.#example = undefined;
  }

  #conclude(): Judgement {
    const where = this.#example === undefined ? "" : `, such as in ${cut(this.#example.toString())}`;
    if (this.#future * 2 > this.#samples) {
      const ahead = roughDuration(this.#futureSum / this.#future);
      return degraded(
        `timestamps are ${ahead} in the future${where}: Loki refuses what is more than 10 minutes ahead. ` +
          "If stage.timestamp parses them, set its location, since times without a zone count as UTC",
      );
    }
    if (this.#old * 2 > this.#samples) {
      const age = roughDuration(this.#oldSum / this.#old);
      return degraded(
        `timestamps are ${age} old${where}: Loki refuses what is older than a week unless it is set otherwise. ` +
          "If stage.timestamp parses them, check its format (a year, a month before the day); if the files are old, drop or skip them",
      );
    }
    const behind = this.#isSteady();
    if (behind !== undefined) {
      return degraded(
        `timestamps are always ${roughDuration(behind)} in the past${where}, as in another time zone: ` +
          "if stage.timestamp parses them, set its location",
      );
    }
    return undefined;
  }

  /** By how much all entries are late, if that is the offset of a time zone. */
  #isSteady(): number | undefined {
    const zone = Math.round(-this.#most / ZONE_MS) * ZONE_MS;
    if (this.#samples < SHORT_SAMPLES || zone <= 0 || zone > 14 * 3_600_000) return undefined;
    const isNear = (ahead: number) => Math.abs(ahead + zone) <= ZONE_SPREAD_MS;
    return isNear(this.#least) && isNear(this.#most) ? zone : undefined;
  }
}

const MAX_SHOWN = 200;

function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

function degraded(cause: string): Judgement {
  return { state: "degraded", cause };
}
