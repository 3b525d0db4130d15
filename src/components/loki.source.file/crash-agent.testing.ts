import { appendFileSync } from "node:fs";
import type { Consumer } from "#pipeline/consumer";
import { consumerValue, startComponent } from "#pipeline/testing";
import component from "./loki.source.file.ts";

/** The process that the crash test kills: reads argv[2] into argv[4], data in argv[3]. Acknowledges what it has written, a little later. */
const [, , path, dataPath, output] = process.argv;
const sink: Consumer<"logs"> = {
  signal: "logs",
  componentId: "test.file",
  mutates: false,
  consume(batch) {
    const { acknowledgement } = batch;
    const lines: string[] = [];
    for (let i = 0; i < batch.count; i++) {
      lines.push(`${Buffer.from(batch.data.subarray(batch.start[i], batch.end[i])).toString("utf8")}\n`);
    }
    setTimeout(() => {
      appendFileSync(output!, lines.join(""));
      acknowledgement.release();
    }, 20);
  },
};
await startComponent(component, `forward_to = [out]\ntargets = [{ __path__ = "${path}" }]`, {
  dataPath: dataPath!,
  scope: { out: consumerValue(sink) },
});
