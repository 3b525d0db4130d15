import assert from "node:assert/strict";
import { decodeRequest } from "#formats/otlp/decode";
import { dataField } from "#formats/otlp/fields";
import { requestFromJson, requestToJson } from "#formats/otlp/json";
import { OtlpRecord } from "#formats/otlp/record";
import type { OtlpKind } from "#formats/otlp/schema";
import { splitRequest } from "#formats/otlp/split";
import { KeyValues } from "#formats/otlp/values";
import { encodeRequest, members, resourceGroups } from "#formats/otlp/walk";

const request = new OtlpRecord();

/** Reads all of a request that a receiver let in, each way that the agent's parts read it. Throws if one of them does. */
export function readAll(kind: OtlpKind, bytes: Uint8Array, items: number): void {
  decodeRequest(kind, [bytes]);
  requestFromJson(kind, requestToJson(kind, [bytes]));
  const chunks = splitRequest(kind, bytes, 1, 2, "items");
  if (items > 0)
    assert.equal(
      chunks.reduce((sum, each) => sum + each.items, 0),
      items,
    );
  request.reset(bytes);
  const groups = resourceGroups(request);
  for (let g = 0; g < groups.length; g++) {
    const group = groups.at(g);
    visit(group.record(1).map(1));
    const scopes = members(group);
    for (let s = 0; s < scopes.length; s++) {
      visit(scopes.at(s).record(1).map(3));
      const entries = members(scopes.at(s));
      for (let e = 0; e < entries.length; e++) {
        const entry = entries.at(e);
        if (kind === "traces") visit(entry.map(9));
        else if (kind === "logs") {
          visit(entry.map(6));
          entry.any(5);
        } else if (dataField(entry) !== 0) entry.record(dataField(entry)).list(1);
      }
    }
  }
  assert.equal(encodeRequest(request, bytes), bytes);
}

function visit(attributes: KeyValues): void {
  for (let i = 0; i < attributes.size; i++) {
    attributes.keyAt(i);
    const value = attributes.valueAt(i);
    if (value instanceof KeyValues) visit(value);
  }
}
