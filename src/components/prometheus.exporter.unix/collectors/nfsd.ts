import { counter, gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readRpcStatistics, V2_PROCEDURES, V3_PROCEDURES } from "./rpc-statistics.ts";

const total = (name: string, help: string, ...labels: string[]) => counter(`node_nfsd_${name}_total`, help, ...labels);

/** Values of /proc/net/rpc/nfsd: first word of the line, index behind it. */
const VALUES = [
  ["rc", 0, total("reply_cache_hits", "Total number of NFSd Reply Cache hits (client lost server response).")],
  [
    "rc",
    1,
    total("reply_cache_misses", "Total number of NFSd Reply Cache an operation that requires caching (idempotent)."),
  ],
  [
    "rc",
    2,
    total("reply_cache_nocache", "Total number of NFSd Reply Cache non-idempotent operations (rename/delete/…)."),
  ],
  ["fh", 0, total("file_handles_stale", "Total number of NFSd stale file handles")],
  ["io", 0, total("disk_bytes_read", "Total NFSd bytes read.")],
  ["io", 1, total("disk_bytes_written", "Total NFSd bytes written.")],
  ["th", 0, gauge("node_nfsd_server_threads", "Total number of NFSd kernel threads that are running.")],
  ["ra", 0, gauge("node_nfsd_read_ahead_cache_size_blocks", "How large the read ahead cache is in blocks.")],
  ["ra", 11, total("read_ahead_cache_not_found", "Total number of NFSd read ahead cache not found.")],
  ["net", 3, total("connections", "Total number of NFSd TCP connections.")],
  ["rpc", 0, total("server_rpcs", "Total number of NFSd RPCs.")],
] as const;
const packets = total("packets", "Total NFSd network packets (sent+received) by protocol type.", "proto");
const rpcErrors = total("rpc_errors", "Total number of NFSd RPC errors by error type.", "error");
const requests = total("requests", "Total number NFSd Requests by method and protocol.", "proto", "method");

/** Operations of version 4 by their number; the first three numbers are not used, four operations not reported. */
const V4_OPERATIONS = [
  ...["", "", "", "Access", "Close", "Commit", "Create", "DelegPurge", "DelegReturn", "GetAttr", "GetFH", "Link"],
  ...["Lock", "Lockt", "Locku", "Lookup", "LookupRoot", "Nverify", "Open", "OpenAttr", "OpenConfirm", "OpenDgrd"],
  ...["PutFH", "", "", "Read", "ReadDir", "ReadLink", "Remove", "Rename", "Renew", "RestoreFH", "SaveFH", "SecInfo"],
  ...["SetAttr", "", "", "Verify", "Write", "RelLockOwner"],
];

const VERSIONS = [
  ["2", "proc2", V2_PROCEDURES],
  ["3", "proc3", V3_PROCEDURES],
  ["4", "proc4ops", V4_OPERATIONS],
] as const;

export const nfsd: CollectorDefinition = {
  name: "nfsd",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const lines = readRpcStatistics(files.proc("net/rpc/nfsd"), "the NFS server is not loaded");
        const value = (kind: string, index: number) => lines.get(kind)?.[index] ?? 0;
        for (const [kind, index, metric] of VALUES) page.add(metric, value(kind, index));
        page.add(packets, value("net", 1), "udp");
        page.add(packets, value("net", 2), "tcp");
        page.add(rpcErrors, value("rpc", 2), "fmt");
        page.add(rpcErrors, value("rpc", 3), "auth");
        page.add(rpcErrors, value("rpc", 4), "cInt");
        for (const [version, kind, methods] of VERSIONS) {
          for (const [i, method] of methods.entries()) {
            // The first value is how many follow. The null procedure is only a ping.
            if (method !== "" && method !== "Null") page.add(requests, value(kind, i + 1), version, method);
          }
        }
      },
    };
  },
};
