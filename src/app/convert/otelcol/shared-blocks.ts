import { quoteString } from "#lang/literal";
import type { BodyRules, SharedBlocks } from "./body.ts";
import type { SettingsTree } from "./settings-tree.ts";
import { mebibytes } from "./values.ts";

/** A batch without a sizer has that of its queue, if the queue has one. */
function batchRules(queue: SettingsTree): BodyRules {
  const sizer = queue.section.text("sizer");
  return {
    isSwitch: true,
    defaults: {
      min_size: "8192",
      max_size: "0",
      ...(sizer === undefined || sizer.fixed === "items" ? {} : { sizer: sizer.expression }),
    },
    missing: ["partition"],
  };
}

const QUEUE: BodyRules = { blocks: { batch: batchRules } };

/** Blocks of the Collector's packages config* and exporterhelper, wherever a component has one. */
export const SHARED_BLOCKS: SharedBlocks = {
  tls: { from: { server_name: "server_name_override" }, missing: ["client_ca_file_reload"] },
  sending_queue: QUEUE,
  queue: QUEUE,
};

/** A gRPC server of configgrpc. */
export function grpcServer(endpoint: string): BodyRules {
  return {
    isSwitch: true,
    from: { max_recv_msg_size: "max_recv_msg_size_mib" },
    convert: { max_recv_msg_size: mebibytes },
    defaults: { endpoint: quoteString(endpoint) },
    missing: ["middlewares", "dialer"],
  };
}

/** An HTTP server of confighttp. The Collector's receivers switch off the limits of time that it has itself. */
export function httpServer(endpoint: string, keepsAlive: boolean): BodyRules {
  return {
    isSwitch: true,
    defaults: {
      endpoint: quoteString(endpoint),
      ...(keepsAlive ? {} : { keep_alives_enabled: "false" }),
      idle_timeout: '"0s"',
      write_timeout: '"0s"',
      read_header_timeout: '"0s"',
    },
    missing: ["response_headers", "middlewares", "transport", "dialer"],
  };
}

/** A client of configgrpc. */
export const GRPC_CLIENT: BodyRules = {
  blocks: {
    keepalive: {
      from: { ping_wait: "time", ping_response_timeout: "timeout", ping_without_stream: "permit_without_stream" },
    },
  },
  missing: ["middlewares", "user_agent"],
};

/** A client of confighttp. */
export const HTTP_CLIENT: BodyRules = { missing: ["middlewares"], blocks: { cookies: { isSwitch: true } } };

/** Those settings of confighttp's client that resource detection does not use, or hardly. */
export const HTTP_CLIENT_SETTINGS: readonly string[] = [
  ..."endpoint proxy_url tls read_buffer_size write_buffer_size headers auth compression compression_params".split(" "),
  ..."max_idle_conns max_idle_conns_per_host max_conns_per_host idle_conn_timeout disable_keep_alives".split(" "),
  ..."http2_read_idle_timeout http2_ping_timeout cookies force_attempt_http2 middlewares".split(" "),
];
