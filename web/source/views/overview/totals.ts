import type { ComponentStatusJson, HistoryJson, Signal, StatusJson } from "../../agent.ts";
import { stateOf } from "./problems.ts";

/** What the whole agent takes in, delivers, loses and keeps, signal by signal. */
export interface Total {
  readonly signal: Signal;
  /** Items per second that the sources hand on. */
  readonly in: number;
  /** Items per second that the destinations take; nothing counts that goes to a failing one. */
  readonly out: number;
  /** Items per second lost now, and lost since the agent's start. */
  readonly dropping: number;
  readonly dropped: number;
  readonly queueBytes: number;
}

export type Measure = "in" | "out" | "dropping" | "queueBytes";

/** A component's part in the totals. */
interface Share {
  readonly component: ComponentStatusJson;
  readonly signal: Signal;
  /** How much of what it sends is new: it counts once, however many consumers get it. 0 for what is no source. */
  readonly sent: number;
  /** How much of what it receives is new: what other components than those listed hand it, such as the agent's own log. */
  readonly received: number;
  readonly isDestination: boolean;
}

const SIGNALS: readonly Signal[] = ["logs", "metrics", "otlp", "profiles"];

/** Only signals that flow, or have. */
export function totalsOf(status: StatusJson): readonly Total[] {
  const shares = sharesOf(status);
  return SIGNALS.flatMap((signal) => {
    const own = shares.filter((share) => share.signal === signal);
    const lost = status.components.flatMap(({ flow }) => flow.dropped.filter((each) => each.signal === signal));
    if (own.length === 0 && lost.length === 0) return [];
    return {
      signal,
      in: sum(own, ({ component, sent, received }) => {
        const { rates } = component.flow;
        return rates.sent * sent + rates.received * received;
      }),
      out: sum(own, ({ component, isDestination }) =>
        arrives(component, isDestination) ? component.flow.rates.received : 0,
      ),
      dropping: sum(own, ({ component }) => component.flow.rates.dropped),
      dropped: sum(lost, ({ items }) => items),
      queueBytes: sum(own, ({ component }) => component.flow.queue?.bytes ?? 0),
    };
  });
}

function arrives(component: ComponentStatusJson, isDestination: boolean): boolean {
  return isDestination && stateOf(component) !== "failing";
}

function sharesOf(status: StatusJson): readonly Share[] {
  const handed = new Map<string, number>();
  for (const { flow } of status.components) {
    for (const { to, items } of flow.sent) handed.set(to, (handed.get(to) ?? 0) + items);
  }
  return status.components.flatMap((component) => {
    const { sent, received, dropped } = component.flow;
    const signal = sent.find((edge) => edge.signal !== null)?.signal ?? received.signal ?? dropped[0]?.signal;
    if (signal === undefined || signal === null) return [];
    const isSource = sent.length > 0 && !handed.has(component.id);
    const items = sum(sent, (edge) => edge.items);
    const most = Math.max(0, ...sent.map((edge) => edge.items));
    const known = handed.get(component.id) ?? 0;
    return {
      component,
      signal,
      sent: isSource && items > 0 ? most / items : 0,
      received: isSource || received.items === 0 ? 0 : Math.max(0, 1 - known / received.items),
      isDestination: sent.length === 0,
    };
  });
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

/** One time with the totals of one signal. */
export interface Moment {
  readonly ms: number;
  readonly values: Readonly<Record<Measure, number>>;
}

/** Of components that have part in the totals, so that their past can be asked for. */
export function contributors(status: StatusJson): readonly string[] {
  return sharesOf(status)
    .filter(({ component, sent, isDestination }) => sent > 0 || isDestination || component.flow.dropped.length > 0)
    .map(({ component }) => component.id);
}

/** The totals of the last minutes, from the histories of the components by id. */
export function pastTotals(
  status: StatusJson,
  histories: ReadonlyMap<string, HistoryJson>,
): ReadonlyMap<Signal, Moment[]> {
  const past = new Map<Signal, Moment[]>();
  const shares = sharesOf(status);
  const [first] = histories.values();
  if (first === undefined) return past;
  const { endMs, stepSeconds } = first;
  for (const signal of SIGNALS) {
    const own = shares.filter((share) => share.signal === signal && histories.has(share.component.id));
    const length = Math.max(0, ...own.map(({ component }) => histories.get(component.id)!.sent.length));
    // Histories end at the same time, but those of young components are shorter.
    const at = (column: readonly number[], i: number) => column[column.length - length + i] ?? 0;
    const moments = Array.from({ length }, (_, i): Moment => {
      const value = (of: (share: Share, history: HistoryJson) => number) =>
        sum(own, (share) => of(share, histories.get(share.component.id)!));
      return {
        ms: endMs - (length - 1 - i) * stepSeconds * 1000,
        values: {
          in: value(({ sent, received }, history) => sent * at(history.sent, i) + received * at(history.received, i)),
          out: value(({ component, isDestination }, history) =>
            arrives(component, isDestination) ? at(history.received, i) : 0,
          ),
          dropping: value((_share, history) => at(history.dropped, i)),
          queueBytes: value((_share, history) => at(history.queueBytes, i)),
        },
      };
    });
    if (moments.length > 0) past.set(signal, moments);
  }
  return past;
}
