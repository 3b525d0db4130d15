import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { createAuthority } from "#kits/certificates.testing";
import { describeCertificate } from "./certificate.ts";
import { readDer, readObjectId, writeDer } from "./der.ts";

const concat = (...parts: readonly Uint8Array[]) => Buffer.concat(parts);
/** Object identifiers whose parts are below 128. */
const id = (text: string) => {
  const [a, b, ...rest] = text.split(".").map(Number) as [number, number, ...number[]];
  return writeDer(0x06, Uint8Array.from([a * 40 + b, ...rest]));
};
const EMAIL = writeDer(0x06, Buffer.from("2a864886f70d010901", "hex"));
const attribute = (type: Uint8Array, text: string, tag = 0x0c) =>
  writeDer(0x30, concat(type, writeDer(tag, Buffer.from(text, tag === 0x1e ? "utf16le" : "utf8"))));
const name = (...sets: readonly Uint8Array[]) => writeDer(0x30, concat(...sets.map((each) => writeDer(0x31, each))));

/** Only what is read of a certificate. */
function certificate(issuer: Uint8Array, subject: Uint8Array): Uint8Array {
  const empty = writeDer(0x30, new Uint8Array());
  const serial = writeDer(0x02, Uint8Array.from([1]));
  return writeDer(0x30, writeDer(0x30, concat(serial, empty, issuer, empty, subject, empty)));
}

test("names are written as Go's pkix.Name writes them", () => {
  const subject = name(
    attribute(id("2.5.4.6"), "DE", 0x13),
    attribute(id("2.5.4.10"), 'A, "B" + C <d>;\\'),
    attribute(id("2.5.4.11"), "one"),
    attribute(id("2.5.4.11"), "two"),
    attribute(EMAIL, "a@b.test", 0x16),
    attribute(id("2.5.4.3"), "first"),
    attribute(id("2.5.4.3"), " #last "),
    attribute(id("2.5.4.5"), "7", 0x13),
    attribute(id("2.5.4.42"), "Given"),
  );
  const read = describeCertificate(certificate(name(attribute(id("2.5.4.3"), "#CA")), subject));
  assert.equal(
    read.subject,
    String.raw`SERIALNUMBER=7,CN=\ #last\ ,OU=one+OU=two,O=A\, \"B\" \+ C \<d\>\;\\,C=DE,2.5.4.42=#1305476976656e,1.2.840.113549.1.9.1=#0c086140622e74657374`,
  );
  assert.equal(read.issuer, String.raw`CN=\#CA`);
  assert.deepEqual(read.dnsNames, []);
});

test("a real certificate", () => {
  const { cert } = createAuthority("My CA").issue({ commonName: "me", names: ["a.test", "127.0.0.1", "*.b.test"] });
  const { raw } = new X509Certificate(cert);
  assert.deepEqual(describeCertificate(raw), {
    issuer: "CN=My CA",
    subject: "CN=me",
    dnsNames: ["a.test", "*.b.test"],
  });
});

test("object identifiers", () => {
  assert.equal(readObjectId(Buffer.from("2a864886f70d010901", "hex")), "1.2.840.113549.1.9.1");
  assert.equal(readObjectId(Buffer.from("8837", "hex")), "2.999");
});

test("whatever is read is elements or a RangeError, and what is written is read", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
      try {
        readDer(bytes);
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
    }),
  );
  fc.assert(
    fc.property(fc.nat(255), fc.uint8Array({ maxLength: 70_000, size: "max" }), (tag, body) => {
      if (body.length < 65_536) assert.deepEqual(readDer(writeDer(tag, body)), [{ tag, body }]);
    }),
    { numRuns: 30 },
  );
});
