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
  "otelcol.auth.oauth2": {
    "expiry_buffer: default": "Alloy's documentation says 0s, its code has the Collector's 5m",
  },
  "otelcol.exporter.kafka": {
    "authentication > sasl > aws_msk: present by default": "logins by AWS IAM are refused, and the block with them",
    "record_partitioner > sticky_key: present by default":
      "the block is looked for, so that two partitioners at once can be refused; without it all is as with it",
  },
  "otelcol.exporter.prometheus": {
    "include_scope_labels: default":
      "true has no effect in Alloy (its issue 6787): the labels come only to those who ask for them, so that nobody's series change",
  },
  "otelcol.processor.deltatocumulative": {
    "max_streams: default": "numbers here are exact up to 2^53, which is as far from any limit that memory sets",
  },
  "prometheus.remote_write": {
    "endpoint > protobuf_message: experimental":
      "only version 2 of the protocol is experimental, and it is refused; writing the default is fine",
  },
};
