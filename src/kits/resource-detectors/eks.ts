import { type Detected, type Detector, type DetectorContext, JsonObject, MetadataUnavailable } from "./detector.ts";
import { ec2Query, InstanceMetadata, itemsOf } from "./ec2.ts";
import { kubernetesApi } from "./kubernetes-api.ts";

const CLUSTER_TAGS = ["aws:eks:cluster-name", "eks:cluster-name"];
const CLUSTER_TAG_PREFIX = "kubernetes.io/cluster/";

/**
 * A Kubernetes cluster of AWS. Matches internal/aws/eks and internal/metadataproviders/aws/eks. `nodeVariable` is the
 * environment variable with the node's name, for nodes whose metadata service cannot be reached from pods.
 */
export function eksDetector(nodeVariable: string, context: DetectorContext): Detector {
  const { environment, log } = context;

  async function isEks(signal: AbortSignal): Promise<boolean> {
    if (environment.AWS_WEB_IDENTITY_TOKEN_FILE?.includes("eks.amazonaws.com")) return true;
    if (environment.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE?.includes("eks-pod-identity")) return true;
    const api = kubernetesApi({ authType: "serviceAccount", context: "" }, context);
    try {
      const issuer = await api.get("/.well-known/openid-configuration", signal).catch(() => new JsonObject({}));
      if (issuer.text("issuer").includes("oidc.eks.")) return true;
      return (await api.get("/version", signal)).text("gitVersion").includes("-eks-");
    } finally {
      await api.close();
    }
  }

  async function instance(signal: AbortSignal): Promise<{ account: string; region: string; id: string }> {
    const identity = await new InstanceMetadata(context).identity(signal).catch(() => undefined);
    if (identity !== undefined) {
      return { account: identity.text("accountId"), region: identity.text("region"), id: identity.text("instanceId") };
    }
    const node = environment[nodeVariable];
    if (!node) throw new Error(`the metadata service cannot be reached, and ${nodeVariable} does not name the node`);
    const api = kubernetesApi({ authType: "serviceAccount", context: "" }, context);
    try {
      const provider = (await api.get(`/api/v1/nodes/${encodeURIComponent(node)}`, signal)).text("spec", "providerID");
      const [, zone = "", id = ""] = /^aws:\/\/\/([^/]+)\/([^/]+)/.exec(provider) ?? [];
      return { account: "", region: zone.slice(0, -1), id };
    } finally {
      await api.close();
    }
  }

  return {
    async detect(signal): Promise<Detected> {
      if (!environment.KUBERNETES_SERVICE_HOST || !(await isEks(signal))) {
        throw new MetadataUnavailable("eks metadata unavailable: not running on EKS");
      }
      const attributes: Record<string, string> = { "cloud.provider": "aws", "cloud.platform": "aws_eks" };
      try {
        const { account, region, id } = await instance(signal);
        attributes["cloud.account.id"] = account;
        const answer = await ec2Query("DescribeInstances", { "InstanceId.1": id }, region, context, signal);
        for (const reservation of itemsOf(answer, "reservationSet")) {
          attributes["cloud.account.id"] ||= reservation.text("ownerId");
          for (const each of itemsOf(reservation, "instancesSet")) attributes["k8s.cluster.name"] = clusterName(each);
        }
      } catch (error) {
        signal.throwIfAborted();
        log.debug("not all is known of the EKS cluster", { error });
      }
      return { attributes };
    },
  };
}

function clusterName(instance: JsonObject): string {
  for (const tag of itemsOf(instance, "tagSet")) {
    const key = tag.text("key");
    if (CLUSTER_TAGS.includes(key)) return tag.text("value");
    if (key.startsWith(CLUSTER_TAG_PREFIX)) return key.slice(CLUSTER_TAG_PREFIX.length);
  }
  return "";
}
