import { compileRegex } from "#base/regex";
import {
  type Detector,
  type DetectorContext,
  type JsonObject,
  MetadataUnavailable,
  orUnavailable,
} from "./detector.ts";

const METADATA = "http://169.254.169.254";
const PATH = "/metadata/instance/compute?api-version=2020-09-01&format=json";

/** Asks the metadata service of Azure's machines (IMDS). */
function compute(platform: string, { http, metadataBase }: DetectorContext, signal: AbortSignal): Promise<JsonObject> {
  const request = { url: new URL(PATH, metadataBase ?? METADATA), headers: { metadata: "true" } };
  return orUnavailable(platform, () => http.json(request, signal));
}

/** Matches internal/azure. `tags` are expressions for the keys of tags. */
export function azureDetector(tags: readonly string[], context: DetectorContext): Detector {
  const keys = tags.map((each) => compileRegex(each));
  return {
    async detect(signal) {
      const machine = await compute("azure", context, signal);
      const extras = new Map<string, string>();
      for (const tag of machine.list("tagsList")) {
        const name = tag.text("name");
        if (keys.some((each) => each.test(name))) extras.set(`azure.tag.${name}`, tag.text("value"));
      }
      return {
        attributes: {
          "cloud.provider": "azure",
          "cloud.platform": "azure.vm",
          "cloud.region": machine.text("location"),
          "cloud.account.id": machine.text("subscriptionId"),
          "cloud.availability_zone": machine.text("zone"),
          "host.id": machine.text("vmId"),
          // The name of the operating system; machines made from special disks have none.
          "host.name": machine.text("osProfile", "computerName") || machine.text("name"),
          "azure.vm.name": machine.text("name"),
          "azure.vm.size": machine.text("vmSize"),
          "azure.vm.scaleset.name": machine.text("vmScaleSetName"),
          "azure.resourcegroup.name": machine.text("resourceGroupName"),
        },
        extras,
      };
    },
  };
}

/** A Kubernetes cluster of Azure. Matches internal/azure/aks. */
export function aksDetector(context: DetectorContext): Detector {
  return {
    async detect(signal) {
      if (!context.environment.KUBERNETES_SERVICE_HOST) {
        throw new MetadataUnavailable("aks metadata unavailable: not running on Kubernetes");
      }
      const machine = await compute("aks", context, signal);
      const name = clusterName(machine.text("resourceGroupName"));
      return { attributes: { "cloud.provider": "azure", "cloud.platform": "azure.aks", "k8s.cluster.name": name } };
    },
  };
}

/** `MC_GROUP_CLUSTER_LOCATION`, unless somebody chose another name or used underscores: then the whole of it. */
function clusterName(resourceGroup: string): string {
  const parts = resourceGroup.split("_");
  return parts.length === 4 && parts[0]!.toLowerCase() === "mc" ? parts[2]! : resourceGroup;
}
