import { SPAN } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import type { OttlContext } from "../ottl/context.ts";
import type { CompiledCondition, ErrorMode } from "../ottl/programs.ts";
import { anyHolds, type OnFailure } from "../ottl/transform.ts";
import type { SpanProgram } from "./conditions.ts";

export interface SpanConditions {
  readonly span: readonly CompiledCondition[];
  readonly spanevent: readonly CompiledCondition[];
}

/**
 * Conditions for spans and their events, one of which has to hold, on the span that the context is pointed at. Matches
 * processor/tailsamplingprocessor/internal/sampling/ottl.go.
 */
export function spanProgram(
  context: OttlContext,
  { span, spanevent }: SpanConditions,
  errorMode: ErrorMode,
  onFailure: OnFailure,
): SpanProgram {
  const event = new OtlpRecord();
  const holds = (conditions: readonly CompiledCondition[]) => {
    context.clearCache();
    return anyHolds(conditions, context, errorMode, onFailure);
  };
  return {
    holds() {
      if (span.length > 0 && holds(span)) return true;
      if (spanevent.length === 0 || !context.span.has(SPAN.events)) return false;
      const events = context.span.list(SPAN.events);
      for (let i = 0; i < events.length; i++) {
        context.event = events.borrow(i, event);
        if (holds(spanevent)) return true;
      }
      return false;
    },
  };
}
