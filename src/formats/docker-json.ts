import { FIELD_ESCAPED, FIELD_MISSING, FIELD_NULL, FIELD_STRING, JsonFields } from "./json-fields.ts";

/**
 * Lines of Docker's json-file log driver: `{"log":"…\n","stream":"stdout","time":"…"}`, as Alloy's stages/docker.go reads
 * them through Go's encoding/json: all three fields must be strings or null, a missing or empty `log` makes it no Docker line.
 */
export class DockerJsonReader {
  readonly fields = new JsonFields([["log"], ["stream"], ["time"]], { finite: false });

  /** Reads `bytes[start, end)`; false if it is no Docker line. The values are then in `fields` under these indices: */
  static readonly LOG = 0;
  static readonly STREAM = 1;
  static readonly TIME = 2;

  read(bytes: Uint8Array, start: number, end: number): boolean {
    const { fields } = this;
    if (!fields.scan(bytes, start, end)) return false;
    for (let i = 0; i < 3; i++) {
      const kind = fields.kind[i]!;
      if (kind !== FIELD_STRING && kind !== FIELD_ESCAPED && kind !== FIELD_MISSING && kind !== FIELD_NULL)
        return false;
    }
    const log = fields.kind[DockerJsonReader.LOG];
    if (log !== FIELD_STRING && log !== FIELD_ESCAPED) return false;
    return fields.end[DockerJsonReader.LOG]! > fields.start[DockerJsonReader.LOG]!;
  }
}
