import { errorText } from "#base/log";
import { type AttributeValue, type Detected, type Detector, type DetectorContext, orUnavailable } from "./detector.ts";

const METADATA_HOST = "169.254.169.254";
const FLAVOR = { "metadata-flavor": "Google" };
const GROUP_MANAGER = /^projects\/[^/]+\/(zones|regions)\/[^/]+\/instanceGroupManagers\/[^/]+$/;

type Attributes = Record<string, AttributeValue | undefined>;

/**
 * Google's machines, clusters, functions and services. Matches internal/gcp, with detectors/gcp of
 * opentelemetry-operations-go. `GCE_METADATA_HOST` says where the metadata service is. With `failOnMissing`, each value that
 * a platform should have is needed; without, those that can be had will do.
 */
export function gcpDetector(failOnMissing: boolean, context: DetectorContext): Detector {
  const { environment, http, log, metadataBase } = context;

  /** Undefined for what this machine does not have. */
  function metadata(path: string, signal: AbortSignal): Promise<string | undefined> {
    const host = environment.GCE_METADATA_HOST;
    const base = host ? `http://${host}` : (metadataBase ?? `http://${METADATA_HOST}`);
    return http.find({ url: new URL(`/computeMetadata/v1/${path}`, base), headers: FLAVOR }, signal);
  }

  async function find(signal: AbortSignal): Promise<Attributes> {
    const attributes: Attributes = { "cloud.provider": "gcp" };
    const missing: string[] = [];
    async function set(name: string, path: string, shape: (text: string) => string = (text) => text): Promise<void> {
      try {
        const text = await metadata(path, signal);
        if (text === undefined) missing.push(`${name}: ${path} is not there`);
        else attributes[name] = shape(text.trim());
      } catch (error) {
        signal.throwIfAborted();
        missing.push(`${name}: ${errorText(error)}`);
      }
    }
    function variable(name: string, ...variables: readonly string[]): void {
      const found = variables.find((each) => environment[each] !== undefined);
      if (found === undefined) missing.push(`${name}: ${variables.join(" and ")} are not set`);
      else attributes[name] = environment[found];
    }
    async function zone(): Promise<void> {
      await set("cloud.availability_zone", "instance/zone", lastPart);
      const parts = String(attributes["cloud.availability_zone"] ?? "").split("-");
      if (parts.length === 3) attributes["cloud.region"] = parts.slice(0, 2).join("-");
    }

    const region = () => set("cloud.region", "instance/region", lastPart);
    const instance = () => set("faas.instance", "instance/id");
    await set("cloud.account.id", "project/project-id");
    switch (await platform(signal)) {
      case "gke": {
        attributes["cloud.platform"] = "gcp_kubernetes_engine";
        await set("k8s.cluster.name", "instance/attributes/cluster-name");
        await set("host.id", "instance/id");
        const location = (await metadata("instance/attributes/cluster-location", signal))?.trim() ?? "";
        const isZone = location.split("-").length === 3;
        attributes[isZone ? "cloud.availability_zone" : "cloud.region"] = location;
        // Not there with workload identity.
        attributes["host.name"] = (await metadata("instance/name", signal).catch(() => undefined))?.trim();
        break;
      }
      case "functions":
      case "run":
        attributes["cloud.platform"] =
          environment.FUNCTION_TARGET === undefined ? "gcp_cloud_run" : "gcp_cloud_functions";
        variable("faas.name", "K_SERVICE", "CLOUD_RUN_JOB", "CLOUD_RUN_WORKER_POOL");
        variable("faas.version", "CLOUD_RUN_REVISION", "K_REVISION");
        await Promise.all([instance(), region()]);
        break;
      case "run job":
        attributes["cloud.platform"] = "gcp_cloud_run";
        variable("faas.name", "K_SERVICE", "CLOUD_RUN_JOB");
        variable("gcp.cloud_run.job.execution", "CLOUD_RUN_EXECUTION");
        variable("gcp.cloud_run.job.task_index", "CLOUD_RUN_TASK_INDEX");
        await Promise.all([instance(), region()]);
        break;
      case "app engine":
        attributes["cloud.platform"] = "gcp_app_engine";
        variable("faas.name", "GAE_SERVICE");
        variable("faas.version", "GAE_VERSION");
        variable("faas.instance", "GAE_INSTANCE");
        await zone();
        if (environment.GAE_ENV === "standard") await region();
        break;
      case "machine": {
        attributes["cloud.platform"] = "gcp_compute_engine";
        await Promise.all([
          zone(),
          set("host.type", "instance/machine-type", lastPart),
          set("host.id", "instance/id"),
          set("host.name", "instance/name"),
          set("gcp.gce.instance.name", "instance/name"),
          set("gcp.gce.instance.hostname", "instance/hostname"),
        ]);
        Object.assign(attributes, groupManager((await metadata("instance/attributes/created-by", signal)) ?? ""));
      }
    }
    if (missing.length > 0 && failOnMissing) throw new Error(`gcp metadata is incomplete: ${missing.join("; ")}`);
    if (missing.length > 0) log.debug("not all is known of this machine of Google's", { missing: missing.join("; ") });
    return attributes;
  }

  async function platform(signal: AbortSignal): Promise<string> {
    if (environment.KUBERNETES_SERVICE_HOST !== undefined) {
      if ((await metadata("instance/attributes/cluster-location", signal)) !== undefined) return "gke";
    }
    if (environment.FUNCTION_TARGET !== undefined) return "functions";
    if (environment.K_CONFIGURATION !== undefined) return "run";
    if (environment.CLOUD_RUN_JOB !== undefined) return "run job";
    if (environment.CLOUD_RUN_WORKER_POOL !== undefined) return "run";
    if (environment.GAE_SERVICE !== undefined || environment.GAE_ENV === "standard") return "app engine";
    return (await metadata("instance/machine-type", signal)) === undefined ? "" : "machine";
  }

  return {
    async detect(signal): Promise<Detected> {
      const { BMS_PROJECT_ID: project, BMS_REGION: region, BMS_INSTANCE_ID: id } = environment;
      if (project && region && id) {
        const attributes = { "cloud.account.id": project, "cloud.region": region, "host.name": id };
        return { attributes: { "cloud.provider": "gcp", "cloud.platform": "gcp_bare_metal_solution", ...attributes } };
      }
      await orUnavailable("gcp", () => metadata("instance/", signal));
      return { attributes: await find(signal) };
    },
  };
}

/** `projects/1/zones/us-east1-b` is shown as its last part. */
function lastPart(text: string): string {
  return text.slice(text.lastIndexOf("/") + 1);
}

function groupManager(createdBy: string): Attributes {
  const parts = GROUP_MANAGER.test(createdBy.trim()) ? createdBy.trim().split("/") : undefined;
  if (parts === undefined) return {};
  const kind = parts[2] === "zones" ? "zone" : "region";
  const prefix = "gcp.gce.instance.group_manager";
  return { [`${prefix}.name`]: parts[5], [`${prefix}.${kind}`]: parts[3] };
}
