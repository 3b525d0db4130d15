import type { OtlpRecord } from "#formats/otlp/record";
import { type AttributeKey, KeyValues } from "#formats/otlp/values";
import type { OttlContext } from "./context.ts";
import { type Accessor, type CompiledKey, entrySetter, getIndexed, setIndexed } from "./keys.ts";
import {
  asInt,
  asString,
  asTime,
  hex,
  OttlError,
  OttlId,
  OttlMessages,
  OttlTime,
  type OttlValue,
  typeOf,
} from "./value.ts";

/** Kinds of fields that paths lead to. Each says how a field of a record is read and written. */

export interface Field extends Accessor {
  /** For fields that may be indexed. */
  readonly indexed?: (keys: readonly CompiledKey[], literal: AttributeKey | undefined) => Accessor;
  /** For attributes: the map itself, so that comparisons need not decode values. */
  readonly map?: (c: OttlContext) => KeyValues;
}
/** Fields by the text of their path behind the context: `status.code`. */
export type Fields = Readonly<Record<string, Field>>;
type Of = (c: OttlContext) => OtlpRecord;

const UINT32 = 0xffff_ffffn;

export function textField(of: Of, field: number): Field {
  return {
    get: (c) => of(c).text(field),
    set: (c, value) => of(c).setText(field, asString(value)),
  };
}
/** The values of enums, so that none has to be made for each item. */
const SMALL = Array.from({ length: 32 }, (_, i) => BigInt(i));

export function enumField(of: Of, field: number): Field {
  return {
    get: (c) => {
      const value = of(c).int32(field);
      return SMALL[value] ?? BigInt(value);
    },
    set: (c, value) => of(c).setVarint(field, asInt(value), 32),
  };
}
export function uint32Field(of: Of, field: number): Field {
  return {
    get: (c) => of(c).int64(field) & UINT32,
    set: (c, value) => of(c).setUint32(field, asInt(value)),
  };
}
export function fixed32Field(of: Of, field: number, options: { readonly isChecked: boolean }): Field {
  return {
    get: (c) => BigInt(of(c).fixed32(field)),
    set: (c, value) => {
      const number = asInt(value);
      if (options.isChecked && (number < 0n || number > UINT32)) throw OttlError.of(`${number} does not fit 32 bits`);
      of(c).setFixed32(field, Number(BigInt.asUintN(32, number)));
    },
  };
}
export function nanosField(of: Of, field: number): Field {
  return {
    get: (c) => of(c).fixed64(field),
    set: (c, value) => of(c).setFixed64(field, asInt(value)),
  };
}
export function timeField(of: Of, field: number): Field {
  return {
    get: (c) => new OttlTime(of(c).fixed64(field)),
    set: (c, value) => of(c).setFixed64(field, asTime(value).nanos),
  };
}

const ID_BYTES = { trace: 16, span: 8 };
const ZEROS = new Uint8Array(16);

function idOf(record: OtlpRecord, field: number, kind: "trace" | "span"): Uint8Array {
  const bytes = record.bytes(field);
  return bytes.length === ID_BYTES[kind] ? bytes : ZEROS.subarray(0, ID_BYTES[kind]);
}
/** An id of zeros is written as none, as pdata does. */
function setId(record: OtlpRecord, field: number, bytes: Uint8Array): void {
  if (bytes.every((byte) => byte === 0)) record.remove(field);
  else record.setBytes(field, bytes);
}

/** An id, and the same in hexadecimal under `.string`. */
export function idFields(name: string, of: Of, field: number, kind: "trace" | "span"): Fields {
  const digits = ID_BYTES[kind] * 2;
  return {
    [name]: {
      get: (c) => new OttlId(kind, idOf(of(c), field, kind)),
      set: (c, value) => {
        if (!(value instanceof OttlId) || value.kind !== kind) {
          throw OttlError.of(`expected a ${kind} id, got ${typeOf(value)}`);
        }
        setId(of(c), field, value.bytes);
      },
    },
    [`${name}.string`]: {
      get: (c) => hex(idOf(of(c), field, kind)),
      set: (c, value) => {
        const text = asString(value);
        if (text.length !== digits || !/^[0-9a-fA-F]*$/.test(text)) {
          throw OttlError.of(`a ${kind} id has ${digits} hexadecimal digits`);
        }
        setId(of(c), field, Buffer.from(text, "hex"));
      },
    },
  };
}

/** A map that may be indexed. */
export function mapField(mapOf: (c: OttlContext) => KeyValues): Field {
  return {
    map: mapOf,
    get: mapOf,
    set: (c, value) => setMap(mapOf(c), value),
    indexed: (keys, literal) => {
      if (literal !== undefined && keys.length === 1) {
        return { get: (c) => mapOf(c).get(literal), set: entrySetter(mapOf, literal) };
      }
      return {
        get: (c) => getIndexed(c, mapOf(c), keys),
        set: (c, value) => setIndexed(c, mapOf(c), keys, value),
      };
    },
  };
}
export function setMap(map: KeyValues, value: OttlValue): void {
  if (value === undefined) map.clear();
  else if (value instanceof KeyValues) map.assign(value);
  else throw OttlError.of(`expected a map, got ${typeOf(value)}`);
}

export function attributesField(of: Of, field: number): Field {
  return mapField((c) => of(c).map(field));
}

/** Messages that are handed on as a whole. */
export function messagesField(of: Of, field: number, kind: string): Field {
  return {
    get: (c) => new OttlMessages(kind, of(c).list(field)),
    set: (c, value) => {
      if (value !== undefined && !(value instanceof OttlMessages && value.kind === kind)) {
        throw OttlError.of(`expected ${kind}, got ${typeOf(value)}`);
      }
      const list = of(c).list(field);
      if (value === undefined) list.removeIf(() => true);
      else list.assign(value.list);
    },
  };
}

export function readOnly(get: Accessor["get"], path: string): Field {
  return {
    get,
    set: () => {
      throw OttlError.of(`${path} cannot be set`);
    },
  };
}
