/** Writes small MaxMind databases (maxmind.github.io/MaxMind-DB, version 2.0) for tests: IPv4, records of 24 bits. */

export type MaxMindValue =
  | string
  | number
  | boolean
  | readonly MaxMindValue[]
  | { readonly [key: string]: MaxMindValue };

const MARKER = Buffer.from([0xab, 0xcd, 0xef, ...Buffer.from("MaxMind.com")]);

/** Networks such as `81.2.69.0/24` with their records. */
export function maxMindDatabase(type: string, networks: Readonly<Record<string, MaxMindValue>>): Buffer {
  const data: Buffer[] = [];
  let dataLength = 0;
  // A node's sides are the numbers of nodes, or records as negative offsets − 1; undefined for nothing.
  const nodes: [number | undefined, number | undefined][] = [[undefined, undefined]];
  for (const [network, value] of Object.entries(networks)) {
    const [address, bits] = network.split("/") as [string, string];
    const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
    let node = 0;
    for (let i = 0; i < Number(bits); i++) {
      const side = (number >>> (31 - i)) & 1;
      if (i === Number(bits) - 1) nodes[node]![side] = -dataLength - 1;
      else {
        nodes[node]![side] ??= nodes.push([undefined, undefined]) - 1;
        node = nodes[node]![side]!;
      }
    }
    data.push(encode(value));
    dataLength += data.at(-1)!.length;
  }
  const tree = Buffer.alloc(nodes.length * 6);
  for (const [i, sides] of nodes.entries()) {
    for (const [k, side] of sides.entries()) {
      const record = side === undefined ? nodes.length : side >= 0 ? side : nodes.length + 16 - side - 1;
      tree.writeUIntBE(record, i * 6 + k * 3, 3);
    }
  }
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_700_000_000,
    database_type: type,
    description: { en: "made up for tests" },
    ip_version: 4,
    languages: ["en"],
    node_count: nodes.length,
    record_size: 24,
  });
  return Buffer.concat([tree, Buffer.alloc(16), ...data, MARKER, metadata]);
}

function encode(value: MaxMindValue): Buffer {
  if (typeof value === "string") return Buffer.concat([control(2, Buffer.byteLength(value)), Buffer.from(value)]);
  if (typeof value === "boolean") return control(14, value ? 1 : 0);
  if (Array.isArray(value)) return Buffer.concat([control(11, value.length), ...value.map(encode)]);
  if (typeof value === "object") {
    const entries = Object.entries(value);
    return Buffer.concat([
      control(7, entries.length),
      ...entries.flatMap(([key, each]) => [encode(key), encode(each)]),
    ]);
  }
  if (Number.isInteger(value) && value >= 0) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([control(6, 4), bytes]);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value as number);
  return Buffer.concat([control(3, 8), bytes]);
}

/** The byte or bytes before a value: its type and size. */
function control(type: number, size: number): Buffer {
  const [low, more] = size < 29 ? [size, []] : [29, [size - 29]];
  return Buffer.from(type > 7 ? [low, type - 7, ...more] : [(type << 5) | low, ...more]);
}
