import type { StatusJson } from "#app/api/json";

/** What the component `invar.viewer` answers under its own HTTP path (src/components/invar.viewer/view.ts). */

export interface Kept {
  readonly kept: number;
  readonly received: number;
  readonly forgotten?: number;
  readonly refused?: number;
}

export interface ViewerStatus {
  readonly now: number;
  readonly retention_ms: number;
  readonly memory: { readonly used: number; readonly limit: number };
  /** Why nothing can arrive; empty if all is well. */
  readonly problem: string;
  readonly urls: Readonly<Record<string, string>>;
  readonly logs: Kept;
  readonly series: Kept;
  readonly traces: Kept;
}

export interface LogLine {
  readonly id: number;
  readonly time: number;
  /** Flat name-value pairs, as all pairs here. */
  readonly labels: readonly string[];
  readonly metadata: readonly string[];
  readonly line: string;
}
export interface FoundLogs {
  readonly matched: number;
  readonly kept: number;
  readonly entries: readonly LogLine[];
}

export interface Series {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  /** Epoch milliseconds and value; what JSON has no number for is text. */
  readonly points: readonly (readonly [time: number, value: number | string])[];
}
export interface FoundSeries {
  readonly matched: number;
  readonly kept: number;
  readonly series: readonly Series[];
}

export interface TraceSummary {
  readonly id: string;
  readonly name: string;
  readonly services: readonly string[];
  readonly start: number;
  readonly durationMs: number;
  readonly spans: number;
  readonly errors: number;
}
export interface FoundTraces {
  readonly matched: number;
  readonly kept: number;
  readonly traces: readonly TraceSummary[];
}

export interface Span {
  readonly id: string;
  readonly parent: string;
  readonly name: string;
  readonly service: string;
  readonly kind: string;
  readonly start: number;
  readonly durationMs: number;
  readonly failed: boolean;
  readonly message: string;
  readonly attributes: readonly string[];
}

/** Ids of the viewers in the configuration. */
export function viewersOf(status: StatusJson | undefined): readonly string[] {
  return status?.components.filter(({ name }) => name === "invar.viewer").map(({ id }) => id) ?? [];
}

/** A path of a viewer, from the root of the server: components are not served below the page's prefix. */
export function viewerPath(id: string, name: string, query: Readonly<Record<string, string>> = {}): string {
  const search = Object.keys(query).length === 0 ? "" : `?${new URLSearchParams(query)}`;
  return `/api/v0/component/${id}/${name}${search}`;
}

/** What the tabs get. */
export interface TabProps {
  readonly viewer: string;
  readonly filter: string;
  readonly status: ViewerStatus | undefined;
  /** Adds a term such as `job=web` to the filter. */
  pick(term: string): void;
}
