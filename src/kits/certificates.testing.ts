import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** Certificates for tests: made on the spot, so that none lie in the repository and none runs out. */

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface TestAuthority extends TestCertificate {
  /** A certificate signed by this authority. `names` are host names or IP addresses; times are epoch milliseconds. */
  issue(options: {
    commonName?: string;
    names?: readonly string[];
    notBefore?: number;
    notAfter?: number;
  }): TestCertificate;
}

const DAY_MS = 86_400_000;

export function createAuthority(name = "Test CA"): TestAuthority {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = (cert: Buffer) => `-----BEGIN CERTIFICATE-----\n${cert.toString("base64")}\n-----END CERTIFICATE-----\n`;
  const exportKey = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }) as string;
  const now = Date.now();
  const own = certificate(name, keys.publicKey, name, keys.privateKey, now - DAY_MS, now + 365 * DAY_MS, [], true);
  return {
    cert: pem(own),
    key: exportKey(keys.privateKey),
    issue({ commonName = "test", names = ["localhost", "127.0.0.1"], notBefore, notAfter }) {
      const leaf = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const from = notBefore ?? now - DAY_MS;
      const until = notAfter ?? now + 30 * DAY_MS;
      const signed = certificate(commonName, leaf.publicKey, name, keys.privateKey, from, until, names, false);
      return { cert: pem(signed), key: exportKey(leaf.privateKey) };
    },
  };
}

/** One ASN.1 element in DER. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

function objectId(text: string): Buffer {
  const [first, second, ...rest] = text.split(".").map(Number) as [number, number, ...number[]];
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}

function distinguishedName(commonName: string): Buffer {
  return der(0x30, der(0x31, der(0x30, objectId("2.5.4.3"), der(0x0c, Buffer.from(commonName)))));
}

function time(epochMs: number): Buffer {
  const digits = new Date(epochMs).toISOString().replace(/[-:T]/g, "").slice(0, 14);
  return der(0x18, Buffer.from(`${digits}Z`));
}

function certificate(
  subject: string,
  publicKey: KeyObject,
  issuer: string,
  issuerKey: KeyObject,
  notBefore: number,
  notAfter: number,
  names: readonly string[],
  isAuthority: boolean,
): Buffer {
  const algorithm = der(0x30, objectId("1.2.840.10045.4.3.2")); // ECDSA with SHA-256
  const spki = publicKey.export({ type: "spki", format: "der" });
  const keyId = createHash("sha1").update(spki).digest();
  const extensions: Buffer[] = [
    der(0x30, objectId("2.5.29.14"), der(0x04, der(0x04, keyId))),
    der(0x30, objectId("2.5.29.19"), der(0x01, Buffer.from([0xff])), der(0x04, basicConstraints(isAuthority))),
  ];
  if (names.length > 0) {
    const alternatives = names.map((name) =>
      /^[\d.]+$/.test(name)
        ? der(0x87, Buffer.from(name.split(".").map(Number)))
        : der(0x82, Buffer.from(name, "latin1")),
    );
    extensions.push(der(0x30, objectId("2.5.29.17"), der(0x04, der(0x30, ...alternatives))));
  }
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)])),
    algorithm,
    distinguishedName(issuer),
    der(0x30, time(notBefore), time(notAfter)),
    distinguishedName(subject),
    spki,
    der(0xa3, der(0x30, ...extensions)),
  );
  const signature = sign("sha256", body, issuerKey);
  return der(0x30, body, algorithm, der(0x03, Buffer.from([0]), signature));
}

function basicConstraints(isAuthority: boolean): Buffer {
  return der(0x30, ...(isAuthority ? [der(0x01, Buffer.from([0xff]))] : []));
}
