import { endianness } from "node:os";
import { getSystemErrorMessage, getSystemErrorName } from "node:util";
import { openCLibrary } from "#kits/c-library";

/** What the C library is asked for: all that the kernel tells in no file. Sizes and requests are 64 bits wide. */
const SIGNATURES = {
  __errno_location: { arguments: [], return: "pointer" },
  clock_gettime: { arguments: ["int32", "buffer"], return: "int32" },
  adjtimex: { arguments: ["buffer"], return: "int32" },
  socket: { arguments: ["int32", "int32", "int32"], return: "int32" },
  setsockopt: { arguments: ["int32", "int32", "int32", "buffer", "uint32"], return: "int32" },
  send: { arguments: ["int32", "buffer", "uint64", "int32"], return: "int64" },
  recv: { arguments: ["int32", "buffer", "uint64", "int32"], return: "int64" },
  ioctl: { arguments: ["int32", "uint64", "buffer"], return: "int32" },
  read: { arguments: ["int32", "buffer", "uint64"], return: "int64" },
  close: { arguments: ["int32"], return: "int32" },
  syscall: { arguments: ["int64", "buffer", "int64", "int64", "int64", "int64"], return: "int64" },
} as const;

type Functions = NonNullable<ReturnType<typeof openFunctions>>;

function openFunctions() {
  return openCLibrary(SIGNATURES);
}

/** Calls into the C library, each of which holds up the thread until the kernel has answered. */
export class Libc {
  readonly functions: Functions;
  readonly #ffi = process.getBuiltinModule("node:ffi")!;
  /** Where this thread's error number is. */
  readonly #errno: bigint;

  private constructor(functions: Functions) {
    this.functions = functions;
    this.#errno = functions.__errno_location();
  }

  /** Undefined where Node cannot call into C: before Node 26, and on machines of the other byte order. */
  static open(): Libc | undefined {
    const functions = endianness() === "LE" ? openFunctions() : undefined;
    return functions && new Libc(functions);
  }

  /** The result of a call. Throws an error with the code (`EPERM`) when it is negative; `what` is what was tried. */
  check(result: number | bigint, what: string): number {
    if (result >= 0) return Number(result);
    throw systemError(-this.#ffi.getInt32(this.#errno), what);
  }

  /** The address of a buffer's bytes, good for as long as the buffer is in use. */
  address(buffer: Buffer): bigint {
    return this.#ffi.getRawPointer(buffer);
  }
}

const CLOCK_REALTIME = 0;

/** The time of day in nanoseconds since 1970, as exact as this Node can tell: without the C library, to the millisecond. */
export function wallClock(libc: Libc | undefined, now: () => number): bigint {
  if (libc === undefined) return BigInt(Math.round(now() * 1000)) * 1000n;
  const time = Buffer.alloc(16);
  libc.check(libc.functions.clock_gettime(CLOCK_REALTIME, time), "clock_gettime");
  return time.readBigInt64LE(0) * 1_000_000_000n + time.readBigInt64LE(8);
}

/** `errno` is negative: -1 becomes an error with the code `EPERM`. */
export function systemError(errno: number, what: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${what}: ${getSystemErrorMessage(errno)}`), { code: getSystemErrorName(errno) });
}

let known: { readonly libc: Libc | undefined } | undefined;

/** The C library, opened once in each thread; undefined where there is no way to call it. */
export function openLibc(): Libc | undefined {
  known ??= { libc: Libc.open() };
  return known.libc;
}

/** As `openLibc`, for what does not work without: throws an error that says what to do, of which `instead` is a part. */
export function requireLibc(instead: string, open: () => Libc | undefined = openLibc): Libc {
  const libc = open();
  if (libc !== undefined) return libc;
  throw new Error(
    `Node ${process.version} cannot make the system calls that it needs; run the agent on Node 26 or newer, or ${instead}`,
  );
}
