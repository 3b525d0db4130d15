import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readNumber } from "../files.ts";

const available = gauge("node_entropy_available_bits", "Bits of available entropy.");
const poolSize = gauge("node_entropy_pool_size_bits", "Bits of entropy pool.");

export const entropy: CollectorDefinition = {
  name: "entropy",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        page.add(available, readNumber(files.proc("sys/kernel/random/entropy_avail")));
        page.add(poolSize, readNumber(files.proc("sys/kernel/random/poolsize")));
      },
    };
  },
};
