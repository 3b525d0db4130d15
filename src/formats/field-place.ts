import { NO_BYTES } from "./bytes.ts";
import { ProtoReader, WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "./protobuf.ts";

const reader = new ProtoReader(NO_BYTES.buffer);

/** Where a field of a message lies. */
export class FieldPlace {
  tag = 0;
  /** Where its value begins, behind tag and length. */
  body = 0;
  stop = 0;

  /** Reads the field at `bytes[at]` of a message that ends at `end`. Throws ProtobufError for what is none. */
  read(bytes: Buffer, at: number, end: number): void {
    // Common forms first: tags and varints of one byte, lengths of one or two.
    const tag = bytes[at]!;
    if (tag >= 8 && tag < 0x80) {
      let body = at + 1;
      let stop = 0;
      const first = bytes[body]!;
      switch (tag & 7) {
        case WIRE_BYTES:
          if (first < 0x80) {
            body += 1;
            stop = body + first;
          } else if (bytes[body + 1]! < 0x80) {
            body += 2;
            stop = body + ((first & 0x7f) | (bytes[body - 1]! << 7));
          }
          break;
        case WIRE_VARINT:
          if (first < 0x80) stop = body + 1;
          break;
        case WIRE_FIXED64:
          stop = body + 8;
          break;
        case WIRE_FIXED32:
          stop = body + 4;
      }
      if (stop !== 0 && stop <= end) {
        this.tag = tag;
        this.body = body;
        this.stop = stop;
        return;
      }
    }
    this.#readOther(bytes, at, end);
  }
  #readOther(bytes: Buffer, at: number, end: number): void {
    reader.reset(bytes, at, end);
    this.tag = reader.tag();
    const isBytes = (this.tag & 7) === WIRE_BYTES;
    const length = isBytes ? reader.length() : 0;
    this.body = reader.position;
    if (!isBytes) reader.skip(this.tag);
    this.stop = reader.position + length;
  }
}
