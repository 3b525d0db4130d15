import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtobufError } from "../protobuf.ts";
import { decodeRequest } from "./decode.ts";
import { dataField } from "./fields.ts";
import { OtlpJsonError, requestFromJson, requestToJson } from "./json.ts";
import { kinds, requests } from "./oracle.testing.ts";
import { OtlpIndex } from "./otlp.ts";
import { OtlpRecord } from "./record.ts";
import type { OtlpKind } from "./schema.ts";
import { splitRequest } from "./split.ts";
import { KeyValues } from "./values.ts";
import { encodeRequest, members, resourceGroups } from "./walk.ts";

/**
 * Requests that clients have damaged: none crashes or stalls what reads them, and what the receiver lets in can be read
 * by all that comes after it. `MALFORMED_INPUTS=10000000` makes a long run of it.
 */
const INPUTS = Number(process.env.MALFORMED_INPUTS ?? 6_000);
/** How long one input of a few hundred bytes may take; reading a sound one takes some microseconds. */
const STALL_MS = 1_000;

/** A small generator of numbers (xorshift), so that a failure can be run again. */
function numbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** One to four damages: bits, bytes, cuts, repeats, and lengths that say too much. */
function damage(sound: Buffer, other: Buffer, pick: (below: number) => number): Buffer {
  let bytes = Buffer.from(sound);
  for (let n = 1 + pick(4); n > 0 && bytes.length > 0; n--) {
    const at = pick(bytes.length);
    switch (pick(7)) {
      case 0:
        bytes[at]! ^= 1 << pick(8);
        break;
      case 1:
        bytes[at] = pick(256);
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(8))]);
        break;
      case 4: {
        const piece = bytes.subarray(at, at + pick(64));
        bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
        break;
      }
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + pick(10), 0xff), bytes.subarray(at)]);
        break;
      default:
        if (other.length > 0) bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(pick(other.length))]);
    }
  }
  return bytes;
}

const index = new OtlpIndex();
const request = new OtlpRecord();

/** Reads all attributes of a record and hands on the same bytes. */
function visit(attributes: KeyValues): void {
  for (let i = 0; i < attributes.size; i++) {
    attributes.keyAt(i);
    const value = attributes.valueAt(i);
    if (value instanceof KeyValues) visit(value);
  }
}

/** What the agent's parts do with a request that the receiver let in. */
function use(kind: OtlpKind, bytes: Buffer, items: number): void {
  decodeRequest(kind, [bytes]);
  const json = requestToJson(kind, [bytes]);
  requestFromJson(kind, json);
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

/** What an input came to: it is read, and used if it was let in. Throws what is no ProtobufError. */
function judge(kind: OtlpKind, bytes: Buffer): "taken" | "refused" {
  try {
    index.read(kind, bytes);
  } catch (error) {
    if (error instanceof ProtobufError) return "refused";
    throw error;
  }
  use(kind, bytes, index.items);
  return "taken";
}

/** What seems to stall is timed again by what it takes of the processor: a busy machine may just have had others to serve. */
function judgeInTime(kind: OtlpKind, bytes: Buffer): "taken" | "refused" {
  const began = performance.now();
  const outcome = judge(kind, bytes);
  if (performance.now() - began < STALL_MS) return outcome;
  const before = process.cpuUsage();
  judge(kind, bytes);
  const ms = process.cpuUsage(before).user / 1_000;
  if (ms >= STALL_MS) throw new Error(`it took ${ms} ms`);
  return outcome;
}

/** How many inputs were let in and how many refused. */
function run(kind: OtlpKind, seed: number, inputs: number): { readonly taken: number; readonly refused: number } {
  const sound = fc.sample(requests(kind), { numRuns: 8, seed });
  const pick = numbers(seed);
  let taken = 0;
  let refused = 0;
  for (let n = 0; n < inputs; n++) {
    const bytes = damage(sound[pick(sound.length)]!, sound[pick(sound.length)]!, pick);
    try {
      if (judgeInTime(kind, bytes) === "taken") taken += 1;
      else refused += 1;
    } catch (error) {
      throw new Error(`seed ${seed}, input ${n}: ${bytes.toString("base64")}`, { cause: error });
    }
  }
  return { taken, refused };
}

for (const kind of kinds) {
  test(`damaged ${kind} are refused, or are of use to all that reads them`, () => {
    const seed = (Date.now() & 0x7fffffff) | 1;
    const { taken, refused } = run(kind, seed, Math.ceil(INPUTS / kinds.length));
    assert.ok(taken > 0 && refused > 0, `${taken} taken, ${refused} refused`);
  });
}

test("damaged JSON is refused with what is wrong, or read", () => {
  const seed = (Date.now() & 0x7fffffff) | 1;
  const pick = numbers(seed);
  for (const kind of kinds) {
    const sound = fc
      .sample(requests(kind), { numRuns: 8, seed })
      .map((each) => Buffer.from(requestToJson(kind, [each])));
    for (let n = 0; n < INPUTS / 10; n++) {
      const bytes = damage(sound[pick(sound.length)]!, sound[pick(sound.length)]!, pick);
      try {
        index.read(kind, requestFromJson(kind, bytes.toString()));
      } catch (error) {
        if (!(error instanceof OtlpJsonError || error instanceof ProtobufError)) {
          throw new Error(`seed ${seed}, input ${n}: ${bytes.toString()}`, { cause: error });
        }
      }
    }
  }
});
