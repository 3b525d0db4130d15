import type { AllowedDifferences } from "./compare.ts";

/**
 * Where a schema differs from Alloy's on purpose, each with the reason. Keys are those of compare.ts: the path of the
 * field, then what differs. An entry that is not needed any more fails the suite.
 */
export const DIFFERENCES: AllowedDifferences = {
  foreach: {
    "template: required": "the node that reads the template reports a missing one, together with its other problems",
  },
  "loki.source.file": {
    "decompression: present by default":
      "Alloy's holds an empty block that means the same as none; here a block that is written has its required arguments",
  },
  "loki.source.kafka": {
    "authentication > sasl_config > oauth_config: present by default":
      "Alloy's holds an empty block that means the same as none; here a block that is written has its required arguments",
  },
  "prometheus.remote_write": {
    "endpoint > protobuf_message: experimental":
      "only version 2 of the protocol is experimental, and it is refused; writing the default is fine",
  },
};
