import type { DnsReader } from "./dns-message.ts";
import { DNS_TYPES, dnsTypeName } from "./dns-names.ts";

/** The data of records as miekg/dns writes them (types.go, svcb.go), since users match them against expressions. */

type Format = (data: DnsReader) => string;

const number8: Format = (data) => String(data.uint8());
const number16: Format = (data) => String(data.uint16());
const number32: Format = (data) => String(data.uint32());
const name: Format = (data) => data.name();
const hex: Format = (data) => Buffer.from(data.rest()).toString("hex");
const upperHex: Format = (data) => hex(data).toUpperCase();
const base64: Format = (data) => Buffer.from(data.rest()).toString("base64");
const quoted: Format = (data) => quote(data.string());
const quotedRest: Format = (data) => quote(data.rest());
const typeName: Format = (data) => dnsTypeName(data.uint16());
const time: Format = (data) => new Date(data.uint32() * 1000).toISOString().replace(/[-:T]|\..*/g, "");
const salt: Format = (data) => Buffer.from(data.string()).toString("hex").toUpperCase() || "-";
const ipv4: Format = (data) => data.take(4).join(".");
const ipv6: Format = (data) => {
  const bytes = data.take(16);
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (isMapped) return `::ffff:${bytes.subarray(12).join(".")}`;
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! * 256 + bytes[2 * i + 1]!).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
};
const strings: Format = (data) => {
  const all: string[] = [];
  while (data.left > 0) all.push(quote(data.string()));
  return all.join(" ");
};
const bitmap: Format = (data) => {
  const types: string[] = [];
  while (data.left > 0) {
    const window = data.uint8();
    for (const [i, byte] of data.string().entries()) {
      for (let bit = 0; bit < 8; bit++) {
        if ((byte & (0x80 >> bit)) !== 0) types.push(dnsTypeName(window * 256 + i * 8 + bit));
      }
    }
  }
  return types.join(" ");
};
const owner: Format = (data) => base32Hex(data.string());

const all =
  (...parts: readonly Format[]): Format =>
  (data) =>
    parts
      .map((part) => part(data))
      .filter((text, i) => text !== "" || i < parts.length - 1)
      .join(" ");

const dnssecKey = all(number16, number8, number8, base64);
const delegation = all(number16, number8, number8, upperHex);
const signature = all(typeName, number8, number8, number32, time, time, number16, name, base64);
const preference = all(number16, name);
const association = all(number8, number8, number8, hex);
const service: Format = (data) => {
  const parts = [number16(data), name(data)];
  while (data.left > 0) parts.push(serviceParameter(data));
  return parts.join(" ");
};

const FORMATS: ReadonlyMap<number, Format> = new Map(
  Object.entries({
    ...{ A: ipv4, AAAA: ipv6, NS: name, MD: name, MF: name, CNAME: name, MB: name, MG: name, MR: name, PTR: name },
    ...{
      DNAME: name,
      "NSAP-PTR": name,
      MX: preference,
      AFSDB: preference,
      RT: preference,
      KX: preference,
      LP: preference,
    },
    ...{ TXT: strings, SPF: strings, AVC: strings, NINFO: strings, RESINFO: strings, HINFO: all(quoted, quoted) },
    SOA: all(name, name, number32, number32, number32, number32, number32),
    ...{ MINFO: all(name, name), RP: all(name, name), TALINK: all(name, name), PX: all(number16, name, name) },
    SRV: all(number16, number16, number16, name),
    NAPTR: all(number16, number16, quoted, quoted, quoted, name),
    ...{ KEY: dnssecKey, DNSKEY: dnssecKey, CDNSKEY: dnssecKey, RKEY: dnssecKey },
    ...{ DS: delegation, CDS: delegation, DLV: delegation, TA: delegation, SSHFP: all(number8, number8, upperHex) },
    ...{ SIG: signature, RRSIG: signature, NSEC: all(name, bitmap), NXT: all(name, bitmap) },
    NSEC3: all(number8, number8, number16, salt, owner, bitmap),
    NSEC3PARAM: all(number8, number8, number16, salt),
    CSYNC: all(number32, number16, bitmap),
    ZONEMD: all(number32, number8, number8, hex),
    ...{ TLSA: association, SMIMEA: association, OPENPGPKEY: base64, DHCID: base64 },
    ...{ URI: all(number16, number16, quotedRest), CAA: all(number8, (data) => text(data.string()), quotedRest) },
    ...{ SVCB: service, HTTPS: service, UID: number32, GID: number32 },
  }).map(([type, format]): [number, Format] => [DNS_TYPES.get(type)!, format]),
);

/** What a record holds. Types without a form of their own are written as RFC 3597 has it. */
export function formatRecordData(type: number, data: DnsReader): string {
  const format = FORMATS.get(type);
  if (format !== undefined) return format(data);
  const length = data.left;
  return `\\# ${length} ${hex(data)}`;
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

function quote(bytes: Uint8Array): string {
  return `"${escapeText(bytes)}"`;
}

function escapeText(bytes: Uint8Array): string {
  return text(bytes).replace(/["\\]|[^ -~]/g, (character) =>
    character === '"' || character === "\\" ? `\\${character}` : `\\${decimal(character)}`,
  );
}

function decimal(character: string): string {
  return String(character.charCodeAt(0)).padStart(3, "0");
}

function base32Hex(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups.map((group) => Number.parseInt(group.padEnd(5, "0"), 2).toString(32).toUpperCase()).join("");
}

const SERVICE_KEYS = [
  "mandatory",
  "alpn",
  "no-default-alpn",
  "port",
  "ipv4hint",
  "ech",
  "ipv6hint",
  "dohpath",
  "ohttp",
];
const serviceKey = (key: number) => SERVICE_KEYS[key] ?? `key${key}`;

function serviceParameter(data: DnsReader): string {
  const key = data.uint16();
  const value = data.part(data.uint16());
  const list = (format: Format) => {
    const parts: string[] = [];
    while (value.left > 0) parts.push(format(value));
    return parts.join(",");
  };
  return `${serviceKey(key)}="${serviceValue(key, value, list)}"`;
}

function serviceValue(key: number, value: DnsReader, list: (format: Format) => string): string {
  switch (serviceKey(key)) {
    case "mandatory":
      return list((data) => serviceKey(data.uint16()));
    case "alpn":
      // A comma would end the element, so that it is escaped twice, and a backslash with it.
      return list((data) => escapeParameter(data.string(), ALPN_ESCAPES));
    case "port":
      return number16(value);
    case "ipv4hint":
      return list(ipv4);
    case "ipv6hint":
      return list(ipv6);
    case "ech":
      return base64(value);
    default:
      return escapeParameter(value.rest(), VALUE_ESCAPES);
  }
}

const VALUE_ESCAPES: ReadonlyMap<string, string> = new Map(['"', ";", " ", "\\"].map((each) => [each, `\\${each}`]));
const ALPN_ESCAPES: ReadonlyMap<string, string> = new Map([...VALUE_ESCAPES, [",", "\\\\\\044"], ["\\", "\\\\\\092"]]);

function escapeParameter(bytes: Uint8Array, escapes: ReadonlyMap<string, string>): string {
  return text(bytes).replace(/[^ -~]|[",; \\]/g, (character) =>
    /[ -~]/.test(character) ? (escapes.get(character) ?? character) : `\\${decimal(character)}`,
  );
}
