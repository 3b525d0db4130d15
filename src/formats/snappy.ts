import { readFileSync } from "node:fs";
import { getRawAsset, isSea } from "node:sea";

/**
 * Snappy's block format (not the framed one), as remote write and Loki push use it: a varint with the length of the
 * content, then literals and copies. https://github.com/google/snappy/blob/main/format_description.txt
 *
 * The work is done by the WebAssembly module of `snappy-wasm`; its glue code is not used, because it cannot be started
 * synchronously from the single executable and lets a damaged length allocate without a bound.
 */

/** The name under which the single executable carries the module. */
export const SNAPPY_WASM_ASSET = "snappy_bg.wasm";

/** Input that is no snappy block, or one larger than allowed. */
export class SnappyError extends Error {
  override readonly name = "SnappyError";
  /** Whether the content is (or claims to be) longer than the caller allows. */
  readonly tooLarge: boolean;
  constructor(message: string, tooLarge = false) {
    super(message);
    this.tooLarge = tooLarge;
  }
}

/** The part of the WebAssembly interface that is used here; TypeScript knows it only together with the whole DOM. */
declare const WebAssembly: {
  readonly Module: new (bytes: ArrayBuffer | Uint8Array) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: object) => { readonly exports: unknown };
};
type WasmModule = { readonly brand: "WebAssembly.Module" };

interface SnappyExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Writes `{pointer, length, error, failed}` at `result`; takes over the input's memory. */
  compress_raw(result: number, pointer: number, length: number): void;
  decompress_raw(result: number, pointer: number, length: number): void;
  __wbindgen_add_to_stack_pointer(delta: number): number;
  __wbindgen_malloc(length: number): number;
  __wbindgen_free(pointer: number, length: number): void;
}

let exports: SnappyExports | undefined;
let memory = new Uint8Array();
let module: WasmModule | undefined;
let lastError = "";

/** Where the module's bytes are in development and in the npm package: beside the entry point of `snappy-wasm`. */
export function snappyWasmUrl(): URL {
  return new URL("./snappy_bg.wasm", import.meta.resolve("snappy-wasm"));
}

function instance(): SnappyExports {
  if (exports !== undefined) return exports;
  module ??= new WebAssembly.Module(isSea() ? getRawAsset(SNAPPY_WASM_ASSET) : readFileSync(snappyWasmUrl()));
  const created = new WebAssembly.Instance(module, {
    wbg: {
      __wbindgen_error_new(pointer: number, length: number): number {
        lastError = new TextDecoder().decode(view().subarray(pointer, pointer + length));
        return 0;
      },
    },
  });
  exports = created.exports as SnappyExports;
  memory = new Uint8Array();
  return exports;
}

/** The module's memory; a new view after it has grown. */
function view(): Uint8Array {
  if (memory.length === 0) memory = new Uint8Array(exports!.memory.buffer);
  return memory;
}

function call(name: "compress_raw" | "decompress_raw", input: Uint8Array): Uint8Array {
  const wasm = instance();
  try {
    const result = wasm.__wbindgen_add_to_stack_pointer(-16);
    const pointer = wasm.__wbindgen_malloc(input.length);
    view().set(input, pointer);
    wasm[name](result, pointer, input.length);
    const answer = new DataView(wasm.memory.buffer, result, 16);
    const output = answer.getUint32(0, true);
    const length = answer.getUint32(4, true);
    const failed = answer.getUint32(12, true) !== 0;
    wasm.__wbindgen_add_to_stack_pointer(16);
    if (failed) throw new SnappyError(`damaged snappy data: ${lastError}`);
    const copy = view().slice(output, output + length);
    wasm.__wbindgen_free(output, length);
    return copy;
  } catch (error) {
    // A trap (out of memory) leaves the module's stack and heap in an unknown state.
    if (!(error instanceof SnappyError)) exports = undefined;
    throw error;
  }
}

/** One block with the content `input`. */
export function compress(input: Uint8Array): Uint8Array {
  return call("compress_raw", input);
}

/** The content of one block. Throws a SnappyError for damaged input and for content of more than `maxLength` bytes. */
export function uncompress(input: Uint8Array, maxLength: number): Uint8Array {
  const { value: length, end } = readLength(input);
  if (length > maxLength) {
    throw new SnappyError(`snappy content of ${length} bytes is larger than the ${maxLength} bytes allowed`, true);
  }
  // The densest element gives 64 bytes for 3; a block that claims more would only make the module allocate in vain.
  if (length > (input.length - end) * 22) throw new SnappyError(`damaged snappy data: ${length} bytes cannot be in it`);
  if (length === 0) {
    if (end !== input.length) throw new SnappyError("damaged snappy data: bytes after the end");
    return new Uint8Array();
  }
  return call("decompress_raw", input);
}

/** The length of a block's content as the block claims it. */
export function uncompressedLength(input: Uint8Array): number {
  return readLength(input).value;
}

/**
 * One block whose content is that of `blocks` one after the other, as chunks to be sent in order, without compressing
 * again. Copies reach back by distance, so that blocks stay valid behind one another; only the length goes in front.
 */
export function joinCompressed(blocks: readonly Uint8Array[]): Uint8Array[] {
  let total = 0;
  const bodies: Uint8Array[] = [];
  for (const block of blocks) {
    const { value, end } = readLength(block);
    total += value;
    bodies.push(block.subarray(end));
  }
  if (total > MAX_LENGTH) throw new SnappyError(`a snappy block of ${total} bytes cannot be`, true);
  const prefix: number[] = [];
  for (; total >= 0x80; total = Math.floor(total / 128)) prefix.push((total % 128) | 0x80);
  prefix.push(total);
  return [Uint8Array.from(prefix), ...bodies];
}

const MAX_LENGTH = 2 ** 32 - 1;

function readLength(input: Uint8Array): { value: number; end: number } {
  let value = 0;
  for (let i = 0; i < 5 && i < input.length; i++) {
    const byte = input[i]!;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) {
      if (value > MAX_LENGTH) break;
      return { value, end: i + 1 };
    }
  }
  throw new SnappyError("damaged snappy data: no length in front");
}
