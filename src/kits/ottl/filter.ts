import { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import type { OtlpKind } from "#formats/otlp/schema";
import { countItems, encodeRequest, members, removeIf, resourceGroups } from "#formats/otlp/walk";
import { OttlContext } from "./context.ts";
import type { ContextName } from "./contexts.ts";
import type { CompiledCondition, ErrorMode } from "./programs.ts";
import { anyHolds, type OnFailure } from "./transform.ts";
import { lentPoints, pointsOf } from "./walk.ts";

/** Conditions by context; what one of them holds for is dropped, with all that is in it. */
export type FilterGroup = ReadonlyMap<ContextName, readonly CompiledCondition[]>;

export interface Filtered {
  readonly bytes: Uint8Array;
  /** Spans, data points or log records before and after. */
  readonly before: number;
  readonly after: number;
  /** Nothing is left, not even an empty resource. */
  readonly isEmpty: boolean;
}

/** Runs groups of conditions over requests. Matches processor/filterprocessor. */
export class Filter {
  readonly #kind: OtlpKind;
  readonly #groups: readonly FilterGroup[];
  readonly #errorMode: ErrorMode;
  readonly #onFailure: OnFailure;
  readonly #context = new OttlContext();
  readonly #request = new OtlpRecord();
  readonly #entry = new OtlpRecord();
  readonly #event = new OtlpRecord();
  readonly #lent = lentPoints();

  constructor(kind: OtlpKind, groups: readonly FilterGroup[], errorMode: ErrorMode, onFailure: OnFailure) {
    this.#kind = kind;
    this.#groups = groups;
    this.#errorMode = errorMode;
    this.#onFailure = onFailure;
  }

  /**
   * The request without what was dropped; the same bytes if nothing was. Throws ProtobufError for what is no request, and
   * OttlError for a condition that fails if the error mode is `propagate`.
   */
  run(bytes: Uint8Array, clientMetadata: OttlContext["clientMetadata"]): Filtered {
    const request = this.#request.reset(bytes);
    this.#context.clientMetadata = clientMetadata;
    const resources = resourceGroups(request);
    const before = countItems(this.#kind, request);
    for (const group of this.#groups) {
      removeIf(resources, (r) => {
        this.#context.resourceGroup = resources.at(r);
        return this.#resource(group);
      });
    }
    const isChanged = request.changed;
    return {
      bytes: isChanged ? encodeRequest(request, bytes) : bytes,
      before,
      after: isChanged ? countItems(this.#kind, request) : before,
      isEmpty: resources.length === 0,
    };
  }

  #holds(group: FilterGroup, context: ContextName): boolean {
    const conditions = group.get(context);
    if (conditions === undefined) return false;
    this.#context.clearCache();
    return anyHolds(conditions, this.#context, this.#errorMode, this.#onFailure);
  }

  /** Whether the resource is to be removed. Groups that are empty, or become so, go too. */
  #resource(group: FilterGroup): boolean {
    if (this.#holds(group, "resource")) return true;
    const scopes = members(this.#context.resourceGroup);
    if (group.size > (group.has("resource") ? 1 : 0)) {
      removeIf(scopes, (s) => {
        this.#context.scopeGroup = scopes.at(s);
        return this.#scope(group);
      });
    }
    return scopes.length === 0;
  }
  #scope(group: FilterGroup): boolean {
    if (this.#holds(group, "scope")) return true;
    const entries = members(this.#context.scopeGroup);
    const outer = (group.has("resource") ? 1 : 0) + (group.has("scope") ? 1 : 0);
    if (group.size > outer) {
      if (this.#kind === "traces") removeIf(entries, (i) => this.#span(group, entries, i));
      else if (this.#kind === "logs") removeIf(entries, (i) => this.#log(group, entries, i));
      else removeIf(entries, (i) => this.#metric(group, entries, i));
    }
    return entries.length === 0;
  }

  #log(group: FilterGroup, logs: RecordList, i: number): boolean {
    this.#context.log = logs.borrow(i, this.#entry);
    return this.#holds(group, "log");
  }
  #span(group: FilterGroup, spans: RecordList, i: number): boolean {
    const c = this.#context;
    c.span = spans.borrow(i, this.#entry);
    if (this.#holds(group, "span")) return true;
    if (group.has("spanevent") && c.span.has(11)) {
      const events = c.span.list(11);
      c.eventIndex = undefined;
      removeIf(events, (e) => {
        c.event = events.borrow(e, this.#event);
        return this.#holds(group, "spanevent");
      });
      spans.giveBack(i, c.span);
    }
    return false;
  }
  #metric(group: FilterGroup, metrics: RecordList, i: number): boolean {
    const c = this.#context;
    c.metric = metrics.borrow(i, this.#entry);
    c.metrics = metrics;
    if (this.#holds(group, "metric")) return true;
    const points = group.has("datapoint") ? pointsOf(c) : undefined;
    if (points === undefined) return false;
    removeIf(points, (p) => {
      c.point = points.borrow(p, this.#lent[c.pointKind]);
      return this.#holds(group, "datapoint");
    });
    metrics.giveBack(i, c.metric);
    return points.length === 0;
  }
}
