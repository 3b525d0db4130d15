import { parseNumber, words } from "../files.ts";
import { readSubject } from "../subject.ts";

/** The lines of /proc/net/rpc/nfs and nfsd by their first word; `reason` is why there may be none. */
export function readRpcStatistics(path: string, reason: string): ReadonlyMap<string, readonly number[]> {
  const lines = new Map<string, readonly number[]>();
  for (const line of readSubject(path, reason).split("\n")) {
    if (line === "") continue;
    const [kind = "", ...values] = words(line);
    // Behind the threads there are histograms on old kernels.
    lines.set(kind, (kind === "th" ? values.slice(0, 2) : values).map(parseNumber));
  }
  return lines;
}

/** Names of the procedures of version 2, in the order of the counts. */
export const V2_PROCEDURES = [
  ...["Null", "GetAttr", "SetAttr", "Root", "Lookup", "ReadLink", "Read", "WrCache", "Write", "Create", "Remove"],
  ...["Rename", "Link", "SymLink", "MkDir", "RmDir", "ReadDir", "FsStat"],
];

export const V3_PROCEDURES = [
  ...["Null", "GetAttr", "SetAttr", "Lookup", "Access", "ReadLink", "Read", "Write", "Create", "MkDir", "SymLink"],
  ...["MkNod", "Remove", "RmDir", "Rename", "Link", "ReadDir", "ReadDirPlus", "FsStat", "FsInfo", "PathConf", "Commit"],
];
