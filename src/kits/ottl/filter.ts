import { SPAN } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import type { OtlpKind } from "#formats/otlp/schema";
import { members, removeIf, resourceGroups } from "#formats/otlp/walk";
import type { OtlpClient } from "#pipeline/batch";
import { type EditedPart, removedItems, restOf } from "../otelcol/processor.ts";
import { OttlContext } from "./context.ts";
import type { ContextName } from "./contexts.ts";
import type { CompiledCondition, ErrorMode } from "./programs.ts";
import { anyHolds, type OnFailure } from "./transform.ts";
import { pointsOf } from "./walk.ts";

/** Conditions by context; what one of them holds for is dropped, with all that is in it. */
export type FilterGroup = ReadonlyMap<ContextName, readonly CompiledCondition[]>;

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
  readonly #point = new OtlpRecord();

  constructor(kind: OtlpKind, groups: readonly FilterGroup[], errorMode: ErrorMode, onFailure: OnFailure) {
    this.#kind = kind;
    this.#groups = groups;
    this.#errorMode = errorMode;
    this.#onFailure = onFailure;
  }

  /**
   * The request without what was dropped; no bytes if not even an empty resource is left. Throws ProtobufError for what is
   * no request, and OttlError for a condition that fails if the error mode is `propagate`.
   */
  run(bytes: Uint8Array, client: OtlpClient): EditedPart {
    const request = this.#request.reset(bytes);
    this.#context.setClient(client);
    const resources = resourceGroups(request);
    for (const group of this.#groups) {
      removeIf(resources, (r) => {
        this.#context.resourceGroup = resources.at(r);
        return this.#resource(group);
      });
    }
    return restOf(request, bytes, request.changed ? removedItems(this.#kind, bytes, request) : 0);
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
    if (group.has("spanevent") && c.span.has(SPAN.events)) {
      const events = c.span.list(SPAN.events);
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
      c.point = points.borrow(p, this.#point);
      return this.#holds(group, "datapoint");
    });
    metrics.giveBack(i, c.metric);
    return points.length === 0;
  }
}
