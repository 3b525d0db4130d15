import type { OttlContext } from "./context.ts";
import {
  attributesField,
  enumField,
  type Field,
  type Fields,
  fixed32Field,
  idFields,
  messagesField,
  nanosField,
  readOnly,
  textField,
  timeField,
  uint32Field,
} from "./fields.ts";
import { insertMember, memberOf } from "./trace-state.ts";
import { asInt, asString, OttlError, OttlMessage, typeOf } from "./value.ts";

/** Paths of spans and of their events. Matches contexts/internal/ctxspan and ctxspanevent of pkg/ottl. */

const KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];

const ofSpan = (c: OttlContext) => c.span;
const ofStatus = (c: OttlContext) => c.span.record(15);
const ofEvent = (c: OttlContext) => c.event;

function kindText(toText: (kind: string) => string): Field {
  const texts = KINDS.map(toText);
  return {
    get: (c) => texts[c.span.int32(6)] ?? "",
    set: (c, value) => {
      const kind = texts.indexOf(asString(value));
      if (kind < 0) throw OttlError.of(`unknown span kind ${JSON.stringify(value)}`);
      c.span.setVarint(6, kind);
    },
  };
}

const traceState: Field = {
  ...textField(ofSpan, 3),
  indexed: (keys, literal) => {
    if (literal === undefined || keys.length !== 1) throw OttlError.of("trace_state takes one key, a string");
    return {
      get: (c) => memberOf(c.span.text(3), literal.text),
      set: (c, value) => {
        const updated = insertMember(c.span.text(3), literal.text, asString(value));
        if (updated !== undefined) c.span.setText(3, updated);
      },
    };
  },
};

export const spanFields: Fields = {
  ...idFields("trace_id", ofSpan, 1, "trace"),
  ...idFields("span_id", ofSpan, 2, "span"),
  trace_state: traceState,
  ...idFields("parent_span_id", ofSpan, 4, "span"),
  name: textField(ofSpan, 5),
  kind: enumField(ofSpan, 6),
  "kind.string": kindText((kind) => kind),
  "kind.deprecated_string": kindText((kind) => `SPAN_KIND_${kind.toUpperCase()}`),
  start_time_unix_nano: nanosField(ofSpan, 7),
  end_time_unix_nano: nanosField(ofSpan, 8),
  start_time: timeField(ofSpan, 7),
  end_time: timeField(ofSpan, 8),
  attributes: attributesField(ofSpan, 9),
  dropped_attributes_count: uint32Field(ofSpan, 10),
  events: messagesField(ofSpan, 11, "span events"),
  dropped_events_count: uint32Field(ofSpan, 12),
  links: messagesField(ofSpan, 13, "span links"),
  dropped_links_count: uint32Field(ofSpan, 14),
  status: {
    get: (c) => new OttlMessage("span status", ofStatus(c)),
    set: (c, value) => {
      if (!(value instanceof OttlMessage) || value.kind !== "span status") {
        throw OttlError.of(`expected a span status, got ${typeOf(value)}`);
      }
      ofStatus(c).assign(value.record);
    },
  },
  "status.code": enumField(ofStatus, 3),
  "status.message": textField(ofStatus, 2),
  flags: fixed32Field(ofSpan, 16, { isChecked: true }),
};

export const eventFields: Fields = {
  time_unix_nano: nanosField(ofEvent, 1),
  time: timeField(ofEvent, 1),
  name: textField(ofEvent, 2),
  attributes: attributesField(ofEvent, 3),
  dropped_attributes_count: uint32Field(ofEvent, 4),
  event_index: readOnly((c) => {
    if (c.eventIndex === undefined) throw OttlError.of("event_index is not known here");
    return asInt(c.eventIndex);
  }, "event_index"),
};
