import { gauge, memoize } from "#kits/exporter/page";
import { pageSize } from "#kits/page-size";
import type { CollectorDefinition } from "../collector.ts";
import { isMissing, parseNumber, readLines } from "../files.ts";

const used = gauge("node_sockstat_sockets_used", "Number of IPv4 sockets in use.");
const declare = memoize((key) => {
  const [protocol = "", state = ""] = key.split(" ");
  return gauge(`node_sockstat_${protocol}_${state}`, `Number of ${protocol} sockets in state ${state}.`);
});

export const sockstat: CollectorDefinition = {
  name: "sockstat",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        for (const file of ["net/sockstat", "net/sockstat6"]) {
          for (const line of read(files.proc(file))) {
            // "TCP: inuse 4 orphan 0 tw 4 alloc 17 mem 1"
            const [name = "", ...pairs] = line.trim().split(" ");
            const protocol = name.slice(0, -1);
            for (let i = 0; i + 1 < pairs.length; i += 2) {
              const state = pairs[i]!;
              const value = parseNumber(pairs[i + 1]!);
              if (protocol === "sockets") {
                if (state === "used" && file === "net/sockstat") page.add(used, value);
                continue;
              }
              page.add(declare(`${protocol} ${state}`), value);
              if (state === "mem") page.add(declare(`${protocol} mem_bytes`), value * pageSize());
            }
          }
        }
      },
    };
  },
};

function read(path: string): string[] {
  try {
    return readLines(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
