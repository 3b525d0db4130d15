/** Character encodings of log files, by IANA name, turned into UTF-8 chunk by chunk. */

export class EncodingError extends Error {
  override readonly name = "EncodingError";
}

export interface FileEncoding {
  readonly name: string;
  /** Bytes of a code unit; a line ends with a newline of that many bytes. */
  readonly unit: 1 | 2;
  /** Where in a code unit the byte 0x0a of a newline lies. */
  readonly newlineByte: 0 | 1;
  /** Decodes whole lines; undefined if the bytes are UTF-8 already or taken as they are. */
  readonly decode: ((bytes: Uint8Array) => string) | undefined;
}

const PLAIN: FileEncoding = { name: "utf-8", unit: 1, newlineByte: 0, decode: undefined };

/** Names that IANA has for what the platform's decoder knows by another name. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ["utf-16", "utf-16be"],
  ["utf16", "utf-16be"],
  ["utf-16le", "utf-16le"],
  ["iso-10646-ucs-2", "utf-16be"],
  ["csutf16", "utf-16be"],
  ["cp936", "gbk"],
  ["ms936", "gbk"],
  ["ibm-866", "ibm866"],
  ["us-ascii", "latin1"],
  ["ascii", "latin1"],
  ["iso_8859-1", "latin1"],
  ["iso_8859-1:1987", "latin1"],
  ["iso-8859-1", "latin1"],
  ["iso-ir-100", "latin1"],
  ["l1", "latin1"],
  ["latin1", "latin1"],
  ["cp819", "latin1"],
  ["ibm819", "latin1"],
  ["csisolatin1", "latin1"],
]);

/**
 * The encoding of that name; `""` is UTF-8. Throws an EncodingError for one that is not known. Like Alloy, an encoding
 * with two bytes a unit and no byte order in its name is big-endian unless the file begins with a byte order mark.
 */
export function fileEncoding(name: string): FileEncoding {
  if (name === "") return PLAIN;
  const lower = name.trim().toLowerCase();
  const known = ALIASES.get(lower) ?? lower;
  if (known === "latin1") {
    const decode = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    return { name, unit: 1, newlineByte: 0, decode };
  }
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(known === "utf-16be" ? "utf-16le" : known, { ignoreBOM: true });
  } catch {
    throw new EncodingError(
      `unknown encoding "${name}": use an IANA name such as "UTF-16LE", "ISO-8859-1" or "windows-1252"`,
    );
  }
  if (decoder.encoding === "utf-8") return PLAIN;
  if (known === "utf-16be") {
    const decode = (bytes: Uint8Array) => decoder.decode(Buffer.from(bytes.subarray(0, bytes.length & ~1)).swap16());
    return { name, unit: 2, newlineByte: 1, decode };
  }
  const wide = decoder.encoding === "utf-16le";
  return { name, unit: wide ? 2 : 1, newlineByte: 0, decode: (bytes) => decoder.decode(bytes) };
}

/** What the first bytes of a file say about its encoding, and how many of them are the mark. A mark overrules the configuration. */
export function detectByteOrderMark(
  head: Uint8Array,
  configured: FileEncoding,
): { encoding: FileEncoding; skip: number } {
  if (head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf) return { encoding: PLAIN, skip: 3 };
  if (head[0] === 0xfe && head[1] === 0xff) return { encoding: fileEncoding("utf-16be"), skip: 2 };
  if (head[0] === 0xff && head[1] === 0xfe) return { encoding: fileEncoding("utf-16le"), skip: 2 };
  return { encoding: configured, skip: 0 };
}
