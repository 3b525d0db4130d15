/** Names and numbers of DNS, as miekg/dns has them in its tables: types of records, classes, and codes of answers. */

const RANGES: readonly (readonly [first: number, names: string])[] = [
  [0, "None A NS MD MF CNAME SOA MB MG MR NULL"],
  [12, "PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT"],
  [23, "NSAP-PTR SIG KEY PX GPOS AAAA LOC NXT EID NIMLOC SRV ATMA NAPTR KX CERT"],
  [39, "DNAME"],
  [41, "OPT APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY DHCID NSEC3 NSEC3PARAM TLSA SMIMEA"],
  [55, "HIP NINFO RKEY TALINK CDS CDNSKEY OPENPGPKEY CSYNC ZONEMD SVCB HTTPS"],
  [99, "SPF UINFO UID GID UNSPEC NID L32 L64 LP EUI48 EUI64"],
  [128, "NXNAME"],
  [249, "TKEY TSIG IXFR AXFR MAILB MAILA ANY URI CAA AVC"],
  [260, "AMTRELAY RESINFO"],
  [32_768, "TA DLV"],
  [65_535, "Reserved"],
];

export const DNS_TYPES: ReadonlyMap<string, number> = new Map(
  RANGES.flatMap(([first, names]) => names.split(" ").map((name, i): [string, number] => [name, first + i])),
);

export const DNS_CLASSES: ReadonlyMap<string, number> = new Map([
  ["IN", 1],
  ["CS", 2],
  ["CH", 3],
  ["HS", 4],
  ["NONE", 254],
  ["ANY", 255],
]);

const CODES =
  "NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE DSOTYPENI - - - - BADSIG BADKEY BADTIME BADMODE BADNAME BADALG BADTRUNC BADCOOKIE";

export const DNS_RCODES: ReadonlyMap<string, number> = new Map(
  CODES.split(" ").flatMap((name, code): [string, number][] => (name === "-" ? [] : [[name, code]])),
);

const swap = (map: ReadonlyMap<string, number>) =>
  new Map([...map].map(([name, code]): [number, string] => [code, name]));
const typeNames = swap(DNS_TYPES);
const classNames = swap(DNS_CLASSES);
const codeNames = swap(DNS_RCODES);

/** `TYPE65280` for one without a name, as of RFC 3597. */
export function dnsTypeName(type: number): string {
  return typeNames.get(type) ?? `TYPE${type}`;
}
/** The class of a record; a number beside a type that is one. */
export function dnsClassName(value: number, type: number): string {
  return (typeNames.has(type) ? classNames.get(value) : undefined) ?? `CLASS${value}`;
}
export function dnsCodeName(code: number): string {
  return codeNames.get(code) ?? `code ${code}`;
}
