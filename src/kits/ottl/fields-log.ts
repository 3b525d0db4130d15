import { type AnyValue, KeyValues, ValueList } from "#formats/otlp/values";
import type { OttlContext } from "./context.ts";
import {
  attributesField,
  enumField,
  type Field,
  type Fields,
  fixed32Field,
  idFields,
  nanosField,
  textField,
  timeField,
  uint32Field,
} from "./fields.ts";
import { getIndexed, setIndexed, setListItem } from "./keys.ts";
import { asString, attributeText, attributeValue, OttlError, typeOf } from "./value.ts";

/** Paths of log records. Matches contexts/internal/ctxlog of pkg/ottl. */

const ofLog = (c: OttlContext) => c.log;

function notIndexable(body: AnyValue): OttlError {
  return OttlError.of(`a body of type ${typeOf(body)} cannot be indexed`);
}

const body: Field = {
  get: (c) => c.log.any(5).value,
  set: (c, value) => {
    const part = c.log.any(5);
    if (value === undefined || value !== part.value) part.value = attributeValue(value);
  },
  indexed: (keys) => ({
    get: (c) => {
      const { value } = c.log.any(5);
      if (value instanceof KeyValues || value instanceof ValueList) return getIndexed(c, value, keys);
      throw notIndexable(value);
    },
    set: (c, value) => {
      const { value: target } = c.log.any(5);
      if (target instanceof KeyValues) setIndexed(c, target, keys, value);
      else if (target instanceof ValueList) setListItem(c, target, keys, value);
      else throw notIndexable(target);
    },
  }),
};

export const logFields: Fields = {
  time_unix_nano: nanosField(ofLog, 1),
  observed_time_unix_nano: nanosField(ofLog, 11),
  time: timeField(ofLog, 1),
  observed_time: timeField(ofLog, 11),
  severity_number: enumField(ofLog, 2),
  severity_text: textField(ofLog, 3),
  body,
  "body.string": {
    get: (c) => attributeText(c.log.any(5).value),
    set: (c, value) => {
      c.log.any(5).value = asString(value);
    },
  },
  attributes: attributesField(ofLog, 6),
  dropped_attributes_count: uint32Field(ofLog, 7),
  flags: fixed32Field(ofLog, 8, { isChecked: false }),
  ...idFields("trace_id", ofLog, 9, "trace"),
  ...idFields("span_id", ofLog, 10, "span"),
  event_name: textField(ofLog, 12),
};
