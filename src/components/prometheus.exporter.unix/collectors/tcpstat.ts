import { gauge } from "#kits/exporter/page";
import type { Collector, CollectorDefinition } from "../collector.ts";
import { errorCode, exists, type HostFiles, isMissing, readText } from "../files.ts";
import { openLibc } from "../libc.ts";
import { NETLINK_SOCK_DIAG, type Netlink, NetlinkSocket, type OpenNetlink } from "../netlink.ts";

const connectionStates = gauge("node_tcp_connection_states", "Number of connection states.", "state");

/** By the kernel's number, from one. Requests not yet accepted, its last one, are "unknown" in node_exporter. */
const STATES = [
  ...["established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait", "close", "close_wait"],
  ...["last_ack", "listen", "closing"],
];

const SOCK_DIAG_BY_FAMILY = 20;
/** `struct inet_diag_req_v2`: family, protocol, extensions, a byte, the states wanted as bits, a socket. */
const REQUEST_BYTES = 56;
const ALL_STATES = 0xfff;
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_TCP = 6;
/** Where they are in `struct inet_diag_msg`. */
const STATE_AT = 1;
const RECEIVE_QUEUE_AT = 56;
const SEND_QUEUE_AT = 60;

/** The state and the two queues of a line of /proc/net/tcp: ` 0A 00000000:00000000 `. */
const SOCKET = / ([0-9A-F]{2}) ([0-9A-F]{8}):([0-9A-F]{8}) /g;

export const tcpstat: CollectorDefinition = {
  name: "tcpstat",
  enabledByDefault: false,
  create({ files }) {
    const libc = openLibc();
    return createTcpstat(files, libc && ((protocol) => new NetlinkSocket(libc, protocol)));
  },
};

/**
 * Asks by netlink as node_exporter does; where that cannot be done, reads /proc/net/tcp and tcp6, which hold the same but
 * for the longest queue that sockets that listen allow (it counts as bytes to send).
 */
export function createTcpstat(files: HostFiles, open: OpenNetlink | undefined): Collector {
  return {
    async collect(page) {
      const counts = new Counts();
      if (open === undefined || !(await askSockets(open, files, counts))) readSockets(files, counts);
      for (const [state, count] of counts.byName) page.add(connectionStates, count, state);
    },
  };
}

class Counts {
  readonly byName = new Map<string, number>([
    ["rx_queued_bytes", 0],
    ["tx_queued_bytes", 0],
  ]);

  add(state: number, received: number, sent: number): void {
    this.#increase(STATES[state - 1] ?? "unknown", 1);
    this.#increase("rx_queued_bytes", received);
    this.#increase("tx_queued_bytes", sent);
  }

  #increase(name: string, by: number): void {
    this.byName.set(name, (this.byName.get(name) ?? 0) + by);
  }
}

/** Resolves with false where the kernel does not tell of sockets by netlink. */
async function askSockets(open: OpenNetlink, files: HostFiles, counts: Counts): Promise<boolean> {
  try {
    using netlink = open(NETLINK_SOCK_DIAG);
    let messages = await askFamily(netlink, AF_INET);
    if (exists(files.proc("net/tcp6"))) messages = messages.concat(await askFamily(netlink, AF_INET6));
    for (const message of messages) {
      const received = message.readUInt32LE(RECEIVE_QUEUE_AT);
      counts.add(message[STATE_AT]!, received, message.readUInt32LE(SEND_QUEUE_AT));
    }
    return true;
  } catch (error) {
    if (["ENOENT", "EPROTONOSUPPORT", "EACCES", "EPERM", "EINVAL"].includes(errorCode(error) ?? "")) return false;
    throw error;
  }
}

function askFamily(netlink: Netlink, family: number): Promise<Buffer[]> {
  const request = Buffer.alloc(REQUEST_BYTES);
  request[0] = family;
  request[1] = IPPROTO_TCP;
  request.writeUInt32LE(ALL_STATES, 4);
  return netlink.dump(SOCK_DIAG_BY_FAMILY, request);
}

function readSockets(files: HostFiles, counts: Counts): void {
  for (const path of ["net/tcp", "net/tcp6"]) {
    for (const [, state, sent, received] of readIfThere(files.proc(path)).matchAll(SOCKET)) {
      counts.add(Number.parseInt(state!, 16), Number.parseInt(received!, 16), Number.parseInt(sent!, 16));
    }
  }
}

/** Empty where there is no such version of IP. */
function readIfThere(path: string): string {
  try {
    return readText(path);
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}
