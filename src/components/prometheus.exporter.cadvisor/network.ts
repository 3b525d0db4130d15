import { numberAt, readIfThere } from "#kits/proc-files";

/** What cAdvisor reads of a container's network, from the files of one of its processes: container/libcontainer/handler.go. */

export interface Interface {
  readonly name: string;
  /** Bytes, packets, errors and drops received, then the same of what was sent. */
  readonly counts: readonly number[];
}

const IGNORED = ["lo", "veth", "docker", "nerdctl"];

/** Of `PID/net/dev`; devices of the container engine itself are left out. */
export function readInterfaces(processFolder: string): Interface[] {
  const text = readIfThere(`${processFolder}/net/dev`);
  if (text === undefined) return [];
  const interfaces: Interface[] = [];
  for (const line of text.split("\n")) {
    const colon = line.lastIndexOf(":");
    if (colon < 0) continue;
    const name = line.slice(0, colon).trim();
    const lower = name.toLowerCase();
    if (IGNORED.some((prefix) => lower.startsWith(prefix))) continue;
    const columns = columnsOf(line.slice(colon + 1));
    if (columns.length !== 16) continue;
    interfaces.push({ name, counts: [0, 1, 2, 3, 8, 9, 10, 11].map((i) => numberAt(columns[i]!, 0)) });
  }
  return interfaces;
}

/** By the number of the state in the kernel, from 1. */
export const TCP_STATES = [
  "established",
  "synsent",
  "synrecv",
  "finwait1",
  "finwait2",
  "timewait",
  "close",
  "closewait",
  "lastack",
  "listen",
  "closing",
] as const;

/** Sockets in each of TCP_STATES, of `PID/net/tcp` or `PID/net/tcp6`. */
export function readTcpStates(path: string): number[] {
  const counts = TCP_STATES.map(() => 0);
  for (const line of linesBelowHead(path)) {
    const state = Number.parseInt(columnsOf(line)[3] ?? "", 16);
    if (counts[state - 1] !== undefined) counts[state - 1]!++;
  }
  return counts;
}

export const UDP_FIGURES = ["listen", "dropped", "rxqueued", "txqueued"] as const;

/** In the order of UDP_FIGURES, of `PID/net/udp` or `PID/net/udp6`. */
export function readUdp(path: string): number[] {
  const counts = [0, 0, 0, 0];
  for (const line of linesBelowHead(path)) {
    counts[0]!++;
    const columns = columnsOf(line);
    if (columns.length !== 13) continue;
    const [sent = "", received = ""] = columns[4]!.split(":");
    counts[1]! += numberAt(columns[12]!, 0) || 0;
    // cAdvisor takes the first of the two for what was received.
    counts[2]! += Number.parseInt(sent, 16) || 0;
    counts[3]! += Number.parseInt(received, 16) || 0;
  }
  return counts;
}

/** The names of figures that cAdvisor shows, as the kernel spells them; its labels have them in lower case. */
export const ADVANCED_TCP = [
  "RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs",
  "RetransSegs InErrs OutRsts InCsumErrors EmbryonicRsts SyncookiesSent SyncookiesRecv SyncookiesFailed PruneCalled",
  "RcvPruned OfoPruned OutOfWindowIcmps LockDroppedIcmps TW TWRecycled TWKilled TCPTimeWaitOverflow TCPTimeouts",
  "TCPSpuriousRTOs TCPLossProbes TCPLossProbeRecovery TCPRenoRecoveryFail TCPSackRecoveryFail TCPRenoFailures",
  "TCPSackFailures TCPLossFailures DelayedACKs DelayedACKLocked DelayedACKLost ListenOverflows ListenDrops TCPHPHits",
  "TCPPureAcks TCPHPAcks TCPRenoRecovery TCPSackRecovery TCPSACKReneging TCPFACKReorder TCPSACKReorder",
  "TCPRenoReorder TCPTSReorder TCPFullUndo TCPPartialUndo TCPDSACKUndo TCPLossUndo TCPFastRetrans",
  "TCPSlowStartRetrans TCPLostRetransmit TCPRetransFail TCPRcvCollapsed TCPDSACKOldSent TCPDSACKOfoSent TCPDSACKRecv",
  "TCPDSACKOfoRecv TCPAbortOnData TCPAbortOnClose TCPAbortOnMemory TCPAbortOnTimeout TCPAbortOnLinger",
  "TCPAbortFailed TCPMemoryPressures TCPMemoryPressuresChrono TCPSACKDiscard TCPDSACKIgnoredOld",
  "TCPDSACKIgnoredNoUndo TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPSackShifted TCPSackMerged",
  "TCPSackShiftFallback TCPBacklogDrop PFMemallocDrop TCPMinTTLDrop TCPDeferAcceptDrop IPReversePathFilter",
  "TCPReqQFullDoCookies TCPReqQFullDrop TCPFastOpenActive TCPFastOpenActiveFail TCPFastOpenPassive",
  "TCPFastOpenPassiveFail TCPFastOpenListenOverflow TCPFastOpenCookieReqd TCPSynRetrans TCPOrigDataSent PAWSActive",
  "PAWSEstab",
]
  .join(" ")
  .split(" ");

/** In the order of ADVANCED_TCP, of `PID/net/netstat` and `PID/net/snmp`; 0 for what this kernel does not have. */
export function readAdvancedTcp(processFolder: string): number[] {
  const values = new Map<string, number>();
  for (const file of ["netstat", "snmp"]) {
    const lines = (readIfThere(`${processFolder}/net/${file}`) ?? "").split("\n");
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const [protocol, ...names] = lines[i]!.split(" ");
      if (protocol !== "TcpExt:" && protocol !== "Tcp:") continue;
      const numbers = lines[i + 1]!.split(" ");
      for (const [column, name] of names.entries()) values.set(name, Number(numbers[column + 1]));
    }
  }
  return ADVANCED_TCP.map((name) => values.get(name) ?? 0);
}

function linesBelowHead(path: string): string[] {
  const text = readIfThere(path);
  return text === undefined ? [] : text.split("\n").filter((line, i) => i > 0 && line !== "");
}

function columnsOf(line: string): string[] {
  return line.split(" ").filter((column) => column !== "");
}
