import { counter } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readRpcStatistics, V2_PROCEDURES, V3_PROCEDURES } from "./rpc-statistics.ts";

const packets = counter(
  "node_nfs_packets_total",
  "Total NFSd network packets (sent+received) by protocol type.",
  "protocol",
);
const connections = counter("node_nfs_connections_total", "Total number of NFSd TCP connections.");
const rpcs = counter("node_nfs_rpcs_total", "Total number of RPCs performed.");
const retransmissions = counter("node_nfs_rpc_retransmissions_total", "Number of RPC transmissions performed.");
const refreshes = counter(
  "node_nfs_rpc_authentication_refreshes_total",
  "Number of RPC authentication refreshes performed.",
);
const requests = counter("node_nfs_requests_total", "Number of NFS procedures invoked.", "proto", "method");

const V4_PROCEDURES = [
  ...["Null", "Read", "Write", "Commit", "Open", "OpenConfirm", "OpenNoattr", "OpenDowngrade", "Close", "Setattr"],
  ...["FsInfo", "Renew", "SetClientID", "SetClientIDConfirm", "Lock", "Lockt", "Locku", "Access", "Getattr"],
  ...["Lookup", "LookupRoot", "Remove", "Rename", "Link", "Symlink", "Create", "Pathconf", "StatFs", "ReadLink"],
  ...["ReadDir", "ServerCaps", "DelegReturn", "GetACL", "SetACL", "FsLocations", "ReleaseLockowner", "Secinfo"],
  ...["FsidPresent", "ExchangeID", "CreateSession", "DestroySession", "Sequence", "GetLeaseTime", "ReclaimComplete"],
  ...["GetDeviceInfo", "LayoutGet", "LayoutCommit", "LayoutReturn", "SecinfoNoName", "TestStateID", "FreeStateID"],
  ...["GetDeviceList", "BindConnToSession", "DestroyClientID", "Seek", "Allocate", "DeAllocate", "LayoutStats"],
  "Clone",
];
const VERSIONS = [
  ["2", V2_PROCEDURES],
  ["3", V3_PROCEDURES],
  ["4", V4_PROCEDURES],
] as const;

export const nfs: CollectorDefinition = {
  name: "nfs",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const lines = readRpcStatistics(files.proc("net/rpc/nfs"), "the NFS client is not loaded");
        const value = (kind: string, index: number) => lines.get(kind)?.[index] ?? 0;
        page.add(packets, value("net", 1), "udp");
        page.add(packets, value("net", 2), "tcp");
        page.add(connections, value("net", 3));
        page.add(rpcs, value("rpc", 0));
        page.add(retransmissions, value("rpc", 1));
        page.add(refreshes, value("rpc", 2));
        for (const [version, procedures] of VERSIONS) {
          // The first value is how many follow.
          for (const [i, method] of procedures.entries()) {
            page.add(requests, value(`proc${version}`, i + 1), version, method);
          }
        }
      },
    };
  },
};
