import { NoDataError } from "./collector.ts";

/** `struct timex` of adjtimex(2), with the call's result as `state`. */
export interface KernelClock {
  readonly state: number;
  readonly offset: number;
  readonly freq: number;
  readonly maxerror: number;
  readonly esterror: number;
  readonly status: number;
  readonly constant: number;
  readonly tick: number;
  readonly ppsfreq: number;
  readonly jitter: number;
  readonly shift: number;
  readonly stabil: number;
  readonly jitcnt: number;
  readonly calcnt: number;
  readonly errcnt: number;
  readonly stbcnt: number;
  readonly tai: number;
}

/** The state of a clock that is not synchronized. */
export const TIME_ERROR = 5;

/** Larger than the struct on any 64-bit Linux (208 bytes). */
const STRUCT_BYTES = 512;

/** glibc, then musl. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/**
 * A function that reads the kernel's clock parameters and changes none; undefined where Node cannot call into C
 * (before Node 26). There is no file in procfs or sysfs with these.
 */
export function openAdjtimex(): (() => KernelClock) | undefined {
  const call = openLibrary();
  if (call === undefined) return undefined;
  const buffer = Buffer.alloc(STRUCT_BYTES);
  const long = (at: number) => Number(buffer.readBigInt64LE(at));
  return () => {
    // Modes of zero: nothing is set.
    buffer.fill(0);
    const state = call(buffer);
    if (state < 0) throw new NoDataError("the system call adjtimex is not allowed");
    return {
      state,
      offset: long(8),
      freq: long(16),
      maxerror: long(24),
      esterror: long(32),
      status: buffer.readInt32LE(40),
      constant: long(48),
      tick: long(88),
      ppsfreq: long(96),
      jitter: long(104),
      shift: buffer.readInt32LE(112),
      stabil: long(120),
      jitcnt: long(128),
      calcnt: long(136),
      errcnt: long(144),
      stbcnt: long(152),
      tai: buffer.readInt32LE(160),
    };
  };
}

function openLibrary(): ((buffer: Buffer) => number) | undefined {
  // Node warns of the experimental module on standard error, where users look for warnings of the agent.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    const ffi = process.getBuiltinModule("node:ffi");
    for (const library of ffi === undefined ? [] : LIBRARIES) {
      try {
        const { functions } = ffi.dlopen(library, { adjtimex: { arguments: ["buffer"], return: "int32" } });
        return functions.adjtimex;
      } catch {
        // The next one, then.
      }
    }
    return undefined;
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}
