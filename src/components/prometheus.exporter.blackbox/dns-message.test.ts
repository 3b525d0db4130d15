import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { DnsMessageError, decodeAnswer, encodeQuestion } from "./dns-message.ts";

/** Pairs of a record on the wire, in hexadecimal, and its text by miekg/dns 1.1.72. */
const records = JSON.parse(
  readFileSync(new URL("testdata/records.json", import.meta.url), "utf8"),
) as readonly (readonly [wire: string, text: string])[];

function answerWith(...wires: readonly string[]): Buffer {
  const head = Buffer.from("1234818300000000000000000000", "hex").subarray(0, 12);
  head.writeUInt16BE(wires.length, 6);
  return Buffer.concat([head, ...wires.map((wire) => Buffer.from(wire, "hex"))]);
}

test("records are written as miekg/dns writes them", () => {
  for (const [wire, text] of records) assert.equal(decodeAnswer(answerWith(wire)).answer[0]!.text, text);
  const all = decodeAnswer(answerWith(...records.map(([wire]) => wire)));
  assert.deepEqual(
    all.answer.map((each) => each.text),
    records.map(([, text]) => text),
  );
  assert.deepEqual([all.id, all.isResponse, all.code], [0x1234, true, 3]);
  const soa = all.answer.find((each) => each.type === 6)!;
  assert.equal(soa.serial, 4_294_967_295);
});

test("names may point back, and not in circles", () => {
  const name = "0161047465737400"; // a.test.
  const question = Buffer.concat([
    Buffer.from("000080000001000100000000", "hex"),
    Buffer.from(`${name}00010001`, "hex"),
  ]);
  const answer = (owner: string, target: string) =>
    Buffer.concat([
      question,
      Buffer.from(`${owner}000500010000003c00${target.length === 4 ? "02" : "04"}${target}`, "hex"),
    ]);
  assert.equal(decodeAnswer(answer("c00c", "0162c00e")).answer[0]!.text, "a.test.\t60\tIN\tCNAME\tb.test.");
  assert.throws(() => decodeAnswer(answer("c018", "c00c")), /a name points forward/); // at itself
  assert.throws(() => decodeAnswer(answer("c0ff", "c00c")), /a name points forward/);
  assert.throws(() => decodeAnswer(answer("c00c", "c00c").subarray(0, -1)), DnsMessageError);
});

test("whatever comes is an answer or a DnsMessageError", () => {
  const damaged = fc
    .tuple(fc.constantFrom(...records), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }), fc.nat())
    .map(([[wire], changes, cut]) => {
      const bytes = answerWith(wire);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return new Uint8Array(bytes.subarray(0, cut % (bytes.length + 1)));
    });
  const runs = fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), damaged), (bytes) => {
    try {
      decodeAnswer(bytes);
    } catch (error) {
      assert.ok(error instanceof DnsMessageError, String(error));
    }
  });
  fc.assert(runs, { numRuns: 2000 });
});

const question = { id: 7, type: 1, class: 1, recursion: true };

test("questions", () => {
  const encode = (name: string) => encodeQuestion({ ...question, name }).toString("hex");
  assert.equal(encode("a.test"), "0007010000010000000000000161047465737400" + "00010001");
  assert.equal(encode("a.test."), encode("a.test"));
  assert.equal(encode("."), `00070100000100000000000000${"00010001"}`);
  assert.equal(encode(""), encode("."));
  assert.match(encode("a\\.b\\032c.test"), /05612e622063/);
  assert.throws(() => encode("a..test"), /"a\.\.test" has an empty part/);
  assert.throws(() => encode("a".repeat(64)), /more than 63 characters/);
  assert.throws(() => encode(Array(50).fill("abcdef").join(".")), /longer than DNS allows/);
});

test("a name that is sent and comes back is the same", () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.array(label, { maxLength: 8 }), (labels) => {
      const escaped = labels.map((bytes) => [...bytes].map((byte) => `\\${String(byte).padStart(3, "0")}`).join(""));
      const name = `${escaped.join(".")}.`;
      const sent = encodeQuestion({ ...question, name });
      // The question's name as the owner of a record.
      const wire = `${sent.subarray(12, -4).toString("hex")}000100010000003c00040a000001`;
      const [text] = decodeAnswer(answerWith(wire)).answer[0]!.text.split("\t");
      assert.deepEqual(encodeQuestion({ ...question, name: text! }), sent);
    }),
  );
});
