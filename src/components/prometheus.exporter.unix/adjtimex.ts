import { NoDataError } from "./collector.ts";
import { openLibc } from "./libc.ts";

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

/**
 * A function that reads the kernel's clock parameters and changes none; undefined where Node cannot call into C
 * (before Node 26). There is no file in procfs or sysfs with these.
 */
export function openAdjtimex(): (() => KernelClock) | undefined {
  const libc = openLibc();
  if (libc === undefined) return undefined;
  const buffer = Buffer.alloc(STRUCT_BYTES);
  const long = (at: number) => Number(buffer.readBigInt64LE(at));
  return () => {
    // Modes of zero: nothing is set.
    buffer.fill(0);
    const state = libc.functions.adjtimex(buffer);
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
