import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { isMissing, readText } from "../files.ts";

const connectionStates = gauge("node_tcp_connection_states", "Number of connection states.", "state");

/** By the kernel's number, from one. The last of its twelve, for requests not yet accepted, has no name here. */
const STATES = [
  ...["established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait", "close", "close_wait"],
  ...["last_ack", "listen", "closing"],
];

/** The state and the two queues of a line: ` 0A 00000000:00000000 `. */
const SOCKET = / ([0-9A-F]{2}) ([0-9A-F]{8}):([0-9A-F]{8}) /g;

/** Reads what node_exporter asks for by netlink from /proc/net/tcp and tcp6, which holds the same. */
export const tcpstat: CollectorDefinition = {
  name: "tcpstat",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const counts = new Map<string, number>([
          ["rx_queued_bytes", 0],
          ["tx_queued_bytes", 0],
        ]);
        const increase = (state: string, by: number) => counts.set(state, (counts.get(state) ?? 0) + by);
        for (const [
          ,
          state,
          sent,
          received,
        ] of `${read(files.proc("net/tcp"))}${read(files.proc("net/tcp6"))}`.matchAll(SOCKET)) {
          const name = STATES[Number.parseInt(state!, 16) - 1];
          if (name !== undefined) increase(name, 1);
          increase("tx_queued_bytes", Number.parseInt(sent!, 16));
          increase("rx_queued_bytes", Number.parseInt(received!, 16));
        }
        for (const [state, count] of counts) page.add(connectionStates, count, state);
      },
    };
  },
};

/** Empty where there is no such version of IP. */
function read(path: string): string {
  try {
    return readText(path);
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}
