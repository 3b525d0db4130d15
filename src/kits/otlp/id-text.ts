import { hex } from "../ottl/value.ts";

/** A trace or span id in hexadecimal digits; empty for one that is missing, or all zeros, which means the same. */
export function idText(id: Uint8Array): string {
  return id.some((byte) => byte !== 0) ? hex(id) : "";
}
