import { readFileSync } from "node:fs";
import { Secret } from "#lang/value";
import { clientDefaults } from "../http/client.ts";
import type { HttpClientArguments } from "../http/client-schema.ts";
import { type Detector, type DetectorContext, MetadataClient, orUnavailable } from "./detector.ts";
import { clusterAddress, serviceAccountFile } from "./kubernetes-api.ts";

export interface OpenShiftOptions {
  /** Empty for those of the pod. */
  readonly address: string;
  readonly token: string;
  readonly tls: Partial<HttpClientArguments["tls_config"]>;
}

/** Where each platform's region is, and what the attributes call the platform. */
const PLATFORMS: ReadonlyMap<string, { provider: string; platform: string; region: readonly string[] }> = new Map([
  ["aws", { provider: "aws", platform: "aws_openshift", region: ["aws", "region"] }],
  ["azure", { provider: "azure", platform: "azure.openshift", region: ["azure", "cloudName"] }],
  ["gcp", { provider: "gcp", platform: "gcp_openshift", region: ["gcp", "region"] }],
  ["ibmcloud", { provider: "ibm_cloud", platform: "ibm_cloud_openshift", region: ["ibmcloud", "location"] }],
  ["openstack", { provider: "", platform: "", region: ["openstack", "cloudName"] }],
]);

/** Matches internal/openshift. */
export function openshiftDetector(options: OpenShiftOptions, context: DetectorContext): Detector {
  return {
    async detect(signal) {
      const address = options.address || clusterAddress(context.environment);
      const token = options.token || readFileSync(serviceAccountFile("token", context), "utf8");
      const defaults = clientDefaults();
      const hasCa = options.tls.ca_file || options.tls.ca_pem || options.tls.insecure_skip_verify;
      const ca_file = hasCa ? "" : serviceAccountFile("ca.crt", context);
      const tls_config = { ...defaults.tls_config, ca_file, ...options.tls, ...(!hasCa && { ca_file }) };
      const args = { ...defaults, tls_config, bearer_token: new Secret(token.trim()) };
      const http = new MetadataClient(args, { userAgent: context.userAgent });
      try {
        const url = `${address}/apis/config.openshift.io/v1/infrastructures/cluster/status`;
        const infrastructure = await orUnavailable("openshift", () => http.json({ url, timeoutMs: 5_000 }, signal));
        const status = ["status", "platformStatus"];
        const known = PLATFORMS.get(infrastructure.text(...status, "type").toLowerCase());
        return {
          attributes: {
            "k8s.cluster.name": infrastructure.text("status", "infrastructureName"),
            "cloud.provider": known?.provider,
            "cloud.platform": known?.platform,
            "cloud.region": known && infrastructure.text(...status, ...known.region).toLowerCase(),
          },
        };
      } finally {
        await http.close();
      }
    },
  };
}
