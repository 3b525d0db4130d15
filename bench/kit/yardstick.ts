import { compress } from "#formats/snappy";

/** Bytes that are worked on: more than the caches of a CPU hold, as in the scenarios. */
const BYTES = 128 << 20;
const BATCH = 1 << 20;

/**
 * Of the machine on which the goals were set. There the program from which this one is taken, which also read a file,
 * gave 2.25; on a machine that has run both, alternately, this one gave 1.77 times as much.
 */
export const REFERENCE_YARDSTICK = 4.0;

/**
 * How fast this machine is at the kind of work that an agent does, so that figures of different machines can be compared:
 * millions of JSON lines of 200 bytes that are found in a buffer, written as entries of a push request and compressed, for
 * each CPU-second of this process. It leaves out all that an agent does around that, and touches no code of ours but the
 * call of the Snappy library, so that it does not change when the agent becomes faster.
 */
export function measureYardstick(): number {
  const text = Buffer.allocUnsafe(BYTES);
  let length = 0;
  let lines = 0;
  for (; length < BYTES - 512; lines++) length += text.write(line(lines), length, "latin1");
  const out = Buffer.allocUnsafe(BATCH + 1024);
  push(text.subarray(0, length >> 3), out); // compiles it
  const before = process.cpuUsage();
  push(text.subarray(0, length), out);
  const { user, system } = process.cpuUsage(before);
  return lines / (user + system);
}

function line(sequence: number): string {
  const id = Math.imul(sequence, 0x9e3779b1) >>> 0;
  const time = new Date(1_795_132_800_000 + sequence * 3).toISOString();
  return `{"ts":"${time}","level":"${sequence % 5 === 0 ? "warn" : "info"}","service":"svc-${sequence % 23}","msg":"handled request path=/api/v1/users/${id % 100_000} status=${200 + (id % 4) * 100}","trace_id":"${id.toString(16).padStart(8, "0")}${Math.imul(id, 31) >>> 0}"}\n`;
}

function push(text: Buffer, out: Buffer): void {
  let filled = 0;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf(10, start);
    const end = newline < 0 ? text.length : newline;
    if (filled + end - start + 32 > BATCH) {
      compress(out.subarray(0, filled));
      filled = 0;
    }
    out[filled++] = 0x12;
    for (let rest = end - start + 20; ; rest >>>= 7) {
      out[filled++] = rest > 127 ? (rest & 127) | 128 : rest;
      if (rest <= 127) break;
    }
    filled += out.writeDoubleLE(start, filled) - filled;
    filled += text.copy(out, filled, start, end);
    start = end + 1;
  }
  compress(out.subarray(0, filled));
}
