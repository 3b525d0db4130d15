import { DockerJsonReader } from "#formats/docker-json";
import { parseRfc3339 } from "#formats/go-time/go-time";
import { FIELD_STRING } from "#formats/json-fields";
import { s } from "#lang/schema";
import { VALUE_RANGE } from "../entry.ts";
import { labelSetter } from "../label-cache.ts";
import type { Stage, StageContext } from "../stage.ts";

export const dockerBody = s.object({}).doc("Parses lines of Docker's json-file log driver.");

/** Alloy's stages/docker.go. Lines that Docker did not write pass unchanged. */
export function buildDocker(_args: unknown, context: StageContext): Stage {
  const { slots } = context;
  const output = slots.of("output");
  const stream = slots.of("stream");
  const timestamp = slots.of("timestamp");
  const setStream = labelSetter(["stream"]);
  const values: string[] = [""];
  const reader = new DockerJsonReader();
  const { fields } = reader;
  const { LOG, STREAM, TIME } = DockerJsonReader;
  const instant = { ms: 0, ns: 0 };
  const unmatched = context.unmatched("are not in Docker's JSON format", "the line is not in Docker's JSON format");
  return {
    process(entry) {
      const { data } = entry.store;
      if (!reader.read(data, entry.start, entry.end)) {
        unmatched.add();
        return true;
      }
      values[0] =
        fields.kind[STREAM] === FIELD_STRING
          ? entry.interner.text(data, fields.start[STREAM]!, fields.end[STREAM]!)
          : String(fields.value(STREAM) ?? "");
      entry.setText(stream, values[0]);
      const timeStart = fields.start[TIME]!;
      const timeEnd = fields.end[TIME]!;
      if (fields.kind[TIME] === FIELD_STRING) {
        entry.setRange(timestamp, VALUE_RANGE, timeStart, timeEnd);
        if (parseRfc3339(data, timeStart, timeEnd, instant)) {
          entry.ms = instant.ms;
          entry.ns = instant.ns;
        }
      } else entry.setText(timestamp, String(fields.value(TIME) ?? ""));
      if (fields.kind[LOG] === FIELD_STRING) {
        const start = fields.start[LOG]!;
        const end = fields.end[LOG]!;
        entry.setLineRange(start, end);
        entry.setRange(output, VALUE_RANGE, start, end);
      } else {
        const log = String(fields.value(LOG));
        entry.setLine(log);
        entry.setRange(output, VALUE_RANGE, entry.start, entry.end);
      }
      entry.labels = setStream.get(entry.labels, values);
      return true;
    },
  };
}
