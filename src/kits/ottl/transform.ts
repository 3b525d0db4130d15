import { SPAN } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import type { OtlpKind } from "#formats/otlp/schema";
import { eachOf, encodeRequest, members, resourceGroups } from "#formats/otlp/walk";
import type { OtlpClient } from "#pipeline/batch";
import { type EditedPart, removedItems } from "../otelcol/processor.ts";
import type { CompiledStatement } from "./compiler.ts";
import { OttlContext } from "./context.ts";
import type { ContextName } from "./contexts.ts";
import type { CompiledCondition, ErrorMode } from "./programs.ts";
import { OttlError } from "./value.ts";
import { exemplarsOf, pointsOf } from "./walk.ts";

/** Statements that run one after the other on each item of a context. */
export interface StatementGroup {
  readonly context: ContextName;
  /** The statements run where one of these holds; always if there are none. */
  readonly conditions: readonly CompiledCondition[];
  readonly statements: readonly CompiledStatement[];
  readonly errorMode: ErrorMode;
}

/** Told of each statement or condition that fails on an item and is passed over. */
export type OnFailure = (text: string, error: OttlError) => void;

/** Functions that add metrics run on the added ones too. Without an end to that, upstream never comes back. */
const MOST_ADDED = 10_000;

/** Runs groups of statements over requests. Matches processor/transformprocessor, which runs group after group. */
export class Transformer {
  readonly #kind: OtlpKind;
  readonly #groups: readonly StatementGroup[];
  readonly #onFailure: OnFailure;
  readonly #context = new OttlContext();
  readonly #request = new OtlpRecord();
  readonly #entry = new OtlpRecord();
  readonly #event = new OtlpRecord();
  readonly #point = new OtlpRecord();

  constructor(kind: OtlpKind, groups: readonly StatementGroup[], onFailure: OnFailure) {
    this.#kind = kind;
    this.#groups = groups;
    this.#onFailure = onFailure;
  }

  /**
   * The request with the statements run; the same bytes if they changed nothing. Throws ProtobufError for what is no
   * request, and OttlError for a failure of a group whose error mode is `propagate`.
   */
  run(bytes: Uint8Array, client: OtlpClient): EditedPart {
    const request = this.#request.reset(bytes);
    this.#context.setClient(client);
    // Groups never see another resource than the item's own, so that all of them may run on one resource first.
    const resources = resourceGroups(request);
    for (let r = 0; r < resources.length; r++) {
      this.#context.resourceGroup = resources.at(r);
      for (const group of this.#groups) this.#resource(group);
    }
    // Only functions of metrics make items of others.
    const hasOthers = this.#kind === "metrics" && request.changed;
    return {
      bytes: encodeRequest(request, bytes),
      removed: hasOthers ? removedItems(this.#kind, bytes, request) : 0,
    };
  }

  #resource(group: StatementGroup): void {
    const c = this.#context;
    if (group.context === "resource") {
      this.#execute(group);
      return;
    }
    const scopes = members(c.resourceGroup);
    for (let s = 0; s < scopes.length; s++) {
      c.scopeGroup = scopes.at(s);
      if (group.context === "scope") this.#execute(group);
      else this.#entries(group);
    }
  }

  #entries(group: StatementGroup): void {
    const c = this.#context;
    const entries = members(c.scopeGroup);
    if (this.#kind === "metrics") {
      this.#metrics(group);
      return;
    }
    const isSpans = this.#kind === "traces";
    for (let i = 0; i < entries.length; i++) {
      const record = entries.borrow(i, this.#entry);
      if (isSpans) c.span = record;
      else c.log = record;
      if (group.context === "spanevent") this.#events(group);
      else this.#execute(group);
      entries.giveBack(i, record);
    }
  }

  #events(group: StatementGroup): void {
    const c = this.#context;
    if (!c.span.has(SPAN.events)) return;
    eachOf(c.span.list(SPAN.events), this.#event, (event, i) => {
      c.event = event;
      c.eventIndex = BigInt(i);
      this.#execute(group);
    });
  }

  #metrics(group: StatementGroup): void {
    const c = this.#context;
    const metrics = members(c.scopeGroup);
    c.metrics = metrics;
    const most = metrics.length + MOST_ADDED;
    for (let i = 0; i < metrics.length; i++) {
      if (metrics.length > most) throw OttlError.of(endless(group));
      c.metric = metrics.borrow(i, this.#entry);
      const { metric } = c;
      if (group.context === "metric") this.#execute(group);
      else this.#points(group);
      metrics.giveBack(i, metric);
    }
  }
  #points(group: StatementGroup): void {
    const c = this.#context;
    const points = pointsOf(c);
    if (points === undefined) return;
    const kind = c.pointKind;
    eachOf(points, this.#point, (point) => {
      c.point = point;
      c.pointKind = kind;
      if (group.context === "datapoint") {
        this.#execute(group);
        return;
      }
      const exemplars = exemplarsOf(c);
      for (let e = 0; e < (exemplars?.length ?? 0); e++) {
        c.exemplar = exemplars!.at(e);
        this.#execute(group);
      }
    });
  }

  #execute(group: StatementGroup): void {
    const c = this.#context;
    c.clearCache();
    if (group.conditions.length > 0 && !anyHolds(group.conditions, c, group.errorMode, this.#onFailure)) return;
    for (const statement of group.statements) {
      try {
        if (statement.condition === undefined || statement.condition(c)) statement.execute(c);
      } catch (error) {
        if (!(error instanceof OttlError)) throw error;
        if (group.errorMode === "propagate") throw OttlError.of(`${statement.text}: ${error.message}`);
        if (group.errorMode === "ignore") this.#onFailure(statement.text, error);
      }
    }
  }
}

function endless(group: StatementGroup): string {
  const texts = group.statements.map((each) => each.text).join("; ");
  return `more than ${MOST_ADDED} metrics were added to one scope, since statements run on those that they add: give ${texts} a where clause that does not hold for them`;
}

/** Whether one of several conditions holds. One that fails does not, in the modes that pass over failures. */
export function anyHolds(
  conditions: readonly CompiledCondition[],
  c: OttlContext,
  errorMode: ErrorMode,
  onFailure: OnFailure,
): boolean {
  for (const { check, text } of conditions) {
    try {
      if (check(c)) return true;
    } catch (error) {
      if (!(error instanceof OttlError)) throw error;
      if (errorMode === "propagate") throw OttlError.of(`${text}: ${error.message}`);
      if (errorMode === "ignore") onFailure(text, error);
    }
  }
  return false;
}
