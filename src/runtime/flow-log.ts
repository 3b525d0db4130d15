import type { Logger } from "#base/log";
import { type Flow, type FlowStatus, isBad } from "#pipeline/flow";

/** Pauses between lines about the same thing, in milliseconds. */
export interface FlowLogPauses {
  /** While a trouble lasts it is said again this often. */
  readonly repeatMs: number;
  /** A trouble that comes again, or has another cause, is said at most this often. */
  readonly changeMs: number;
  /** While a source has never had data it is said again this often. */
  readonly silenceRepeatMs: number;
  /** A source that had data is said to be silent after this time, once. */
  readonly silentAgainMs: number;
}

const FLOW_LOG_PAUSES: FlowLogPauses = {
  repeatMs: 5 * 60_000,
  changeMs: 60_000,
  silenceRepeatMs: 30 * 60_000,
  silentAgainMs: 30 * 60_000,
};

/** A time during which the state is `degraded` or `failing`. */
interface Trouble {
  readonly since: number;
  readonly droppedBefore: number;
  /** What was said of it last; undefined while nothing has been. */
  said: FlowStatus | undefined;
}

/**
 * What the log says about one component's data flow: the first failure at once, a trouble that lasts every few minutes,
 * its end with what it cost, and a source that gets no data. It lives as long as the component's flow, through restarts.
 */
export class FlowLog {
  readonly #flow: Flow;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #pauses: FlowLogPauses;
  #trouble: Trouble | undefined;
  #lastTroubleLine = -Infinity;
  /** Troubles that came and went since the last line about one. */
  #unsaid = 0;
  #stops = false;
  #started: number;
  /** Drops before the latest moment at which nothing was wrong: those of a trouble are often counted before it is known. */
  #dropped = 0;
  /** What was said of a silence: when last, since when it holds, and whether there had been data before. */
  #silence: { readonly said: number; readonly since: number; readonly hadData: boolean } | undefined;

  constructor(flow: Flow, log: Logger, now: () => number, pauses: FlowLogPauses = FLOW_LOG_PAUSES) {
    this.#flow = flow;
    this.#log = log;
    this.#now = now;
    this.#pauses = pauses;
    this.#started = now();
  }

  /** A life of the component begins. */
  started(): void {
    this.#started = this.#now();
    this.#silence = undefined;
  }

  /** The component's block goes away: that its flow ends is no news. */
  stopping(): void {
    this.#stops = true;
  }

  /** The state changed. */
  changed(status: FlowStatus, previous: FlowStatus): void {
    if (isBad(status.state)) {
      this.#trouble ??= { since: status.since, droppedBefore: this.#dropped, said: undefined };
      const worse = this.#trouble.said?.state === "degraded" && status.state === "failing";
      if (worse || this.#sinceTroubleLine() >= this.#pauses.changeMs) this.#sayTrouble(this.#trouble, status);
      return;
    }
    if (status.state === "idle" && this.#stops) return;
    if (this.#trouble !== undefined) this.#sayEnd(this.#trouble, status, previous);
    this.#trouble = undefined;
    if (status.state === "ok" && this.#silence !== undefined) {
      const { since, hadData } = this.#silence;
      const message = hadData ? "data flow began again" : "data flow began";
      this.#log.info(message, { after_seconds: seconds(this.#now() - since) });
      this.#silence = undefined;
    }
  }

  /** Says what is due. Called every few seconds; `isSource`: data come from outside, or should. */
  tick(isSource: boolean): void {
    const { status } = this.#flow;
    const trouble = this.#trouble;
    if (trouble === undefined) {
      this.#dropped = this.#flow.droppedItems;
      if (isSource && status.state === "idle") this.#watchSilence(status);
      return;
    }
    const pause = this.#sinceTroubleLine();
    const isNews = trouble.said?.state !== status.state || !saysTheSame(trouble.said.cause, status.cause);
    if (isNews && pause >= this.#pauses.changeMs) this.#sayTrouble(trouble, status);
    else if (pause >= this.#pauses.repeatMs) this.#sayRepeat(trouble, status);
  }

  #sayTrouble(trouble: Trouble, status: FlowStatus): void {
    const times = this.#unsaid;
    this.#log.warn(`data flow ${status.state}`, {
      cause: status.cause,
      ...(times === 0 ? {} : { also_failed_times: times }),
    });
    this.#said(trouble, status);
  }

  #sayRepeat(trouble: Trouble, status: FlowStatus): void {
    this.#log.warn(`data flow still ${status.state}`, {
      cause: status.cause,
      since: new Date(trouble.since).toISOString(),
      failures: this.#flow.failures,
      dropped: this.#flow.droppedItems - trouble.droppedBefore,
    });
    this.#said(trouble, status);
  }

  #said(trouble: Trouble, status: FlowStatus): void {
    trouble.said = status;
    this.#lastTroubleLine = this.#now();
    this.#unsaid = 0;
  }

  /** A trouble that nobody was told of ends as quietly. */
  #sayEnd(trouble: Trouble, status: FlowStatus, previous: FlowStatus): void {
    const dropped = this.#flow.droppedItems - trouble.droppedBefore;
    this.#dropped = this.#flow.droppedItems;
    if (trouble.said === undefined) {
      this.#unsaid += 1;
      return;
    }
    this.#log.info(status.state === "ok" ? "data flow recovered" : "data flow idle", {
      ...(status.state === "ok" ? {} : { cause: status.cause }),
      after: previous.cause,
      lasted_seconds: seconds(this.#now() - trouble.since),
      failures: this.#flow.failures,
      dropped,
    });
  }

  #watchSilence(status: FlowStatus): void {
    const now = this.#now();
    const hadData = this.#flow.lastSuccess >= this.#started;
    const since = Math.max(status.since, this.#started);
    if (now - since < (hadData ? this.#pauses.silentAgainMs : this.#flow.patienceMs)) return;
    // A quiet source is no fault as such; one that never had anything probably is.
    const said = this.#silence?.said;
    if (said !== undefined && (hadData || now - said < this.#pauses.silenceRepeatMs)) return;
    this.#silence = { said: now, since, hadData };
    this.#log.warn("no data", { cause: status.cause, since: new Date(since).toISOString() });
  }

  #sinceTroubleLine(): number {
    return this.#now() - this.#lastTroubleLine;
  }
}

/** Whether two causes differ by nothing but their figures. */
function saysTheSame(one: string, other: string): boolean {
  return one === other || one.replace(FIGURES, "0") === other.replace(FIGURES, "0");
}
const FIGURES = /\d+/g;

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
