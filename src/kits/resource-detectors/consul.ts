import { readFileSync } from "node:fs";
import type { Secret } from "#lang/value";
import { type Detector, type DetectorContext, orUnavailable } from "./detector.ts";

export interface ConsulOptions {
  /** Empty texts stand for what Consul's own variables say. */
  readonly address: string;
  readonly datacenter: string;
  readonly token: Secret;
  readonly namespace: string;
  /** Keys of the node's metadata. */
  readonly meta: readonly string[];
}

/** The local agent of Consul. Matches internal/consul. */
export function consulDetector(options: ConsulOptions, { environment, http }: DetectorContext): Detector {
  return {
    async detect(signal) {
      const address = options.address || environment.CONSUL_HTTP_ADDR || "127.0.0.1:8500";
      const scheme = environment.CONSUL_HTTP_SSL === "true" ? "https" : "http";
      const url = new URL("/v1/agent/self", address.includes("://") ? address : `${scheme}://${address}`);
      if (options.datacenter !== "") url.searchParams.set("dc", options.datacenter);
      const namespace = options.namespace || environment.CONSUL_NAMESPACE;
      if (namespace) url.searchParams.set("ns", namespace);
      const file = environment.CONSUL_HTTP_TOKEN_FILE;
      const token =
        options.token.reveal() || environment.CONSUL_HTTP_TOKEN || (file ? readFileSync(file, "utf8").trim() : "");
      const headers = token === "" ? {} : { "x-consul-token": token };
      const self = await orUnavailable("consul", () => http.json({ url, headers }, signal));
      const meta = self.texts("Meta");
      return {
        attributes: {
          "host.name": self.text("Config", "NodeName"),
          "host.id": self.text("Config", "NodeID"),
          "cloud.region": self.text("Config", "Datacenter"),
        },
        extras: new Map(options.meta.flatMap((key) => (meta.has(key) ? [[key, meta.get(key)!]] : []))),
      };
    },
  };
}
