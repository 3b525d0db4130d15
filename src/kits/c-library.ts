import type { FunctionDefinitions, WrappedFunctionsFromDefinitions } from "node:ffi";

/** glibc, then musl. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/**
 * Functions of the C library, for system calls that Node has no function of its own for. Undefined where Node cannot call
 * into C (before Node 26), or where the library has no such functions.
 */
export function openCLibrary<const T extends FunctionDefinitions>(
  functions: T,
): WrappedFunctionsFromDefinitions<T> | undefined {
  // Node warns of the experimental module on standard error, where users look for warnings of the agent.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    const ffi = process.getBuiltinModule("node:ffi");
    for (const library of ffi === undefined ? [] : LIBRARIES) {
      try {
        return ffi.dlopen(library, functions).functions;
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
