import { gauge } from "#kits/exporter/page";
import { type CollectorDefinition, NoDataError } from "../collector.ts";
import { isMissing, readText } from "../files.ts";

const queues = gauge(
  "node_udp_queues",
  "Number of allocated memory in the kernel for UDP datagrams in bytes.",
  "queue",
  "ip",
);

export const udpQueues: CollectorDefinition = {
  name: "udp_queues",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        let found = false;
        for (const [file, version] of [
          ["net/udp", "v4"],
          ["net/udp6", "v6"],
        ] as const) {
          let text: string;
          try {
            text = readText(files.proc(file));
          } catch (error) {
            if (isMissing(error)) continue;
            throw error;
          }
          found = true;
          const { sent, received } = sumQueues(text);
          page.add(queues, sent, "tx", version);
          page.add(queues, received, "rx", version);
        }
        if (!found) throw new NoDataError("no UDP");
      },
    };
  },
};

/** The only `HEX:HEX` with eight digits on both sides of a line is the pair of queues. */
const QUEUES = / ([0-9A-F]{8}):([0-9A-F]{8}) /g;

function sumQueues(text: string): { sent: number; received: number } {
  let sent = 0;
  let received = 0;
  for (const match of text.matchAll(QUEUES)) {
    sent += Number.parseInt(match[1]!, 16);
    received += Number.parseInt(match[2]!, 16);
  }
  return { sent, received };
}
