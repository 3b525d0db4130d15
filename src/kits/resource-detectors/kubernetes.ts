import { parse } from "yaml";
import { type Detector, type DetectorContext, JsonObject, orUnavailable } from "./detector.ts";
import { type KubernetesAccess, kubernetesApi } from "./kubernetes-api.ts";

/** The node that the agent runs on; a variable has its name. Matches internal/k8sapi. */
export function kubernetesNodeDetector(access: KubernetesAccess, variable: string, context: DetectorContext): Detector {
  return {
    async detect(signal) {
      const name = context.environment[variable];
      if (!name) {
        throw new Error(
          `${variable} is not set: have the pod's specification set it to spec.nodeName, or name another variable in \`node_from_env_var\``,
        );
      }
      const api = kubernetesApi(access, context);
      try {
        const node = await orUnavailable("kubernetes_node", () =>
          api.get(`/api/v1/nodes/${encodeURIComponent(name)}`, signal),
        );
        const attributes = {
          "k8s.node.name": node.text("metadata", "name"),
          "k8s.node.uid": node.text("metadata", "uid"),
        };
        return { attributes };
      } finally {
        await api.close();
      }
    },
  };
}

/** The cluster, as kubeadm set it up. Matches internal/kubeadm. */
export function kubeadmDetector(access: KubernetesAccess, context: DetectorContext): Detector {
  return {
    async detect(signal) {
      const api = kubernetesApi(access, context);
      try {
        const system = "/api/v1/namespaces/kube-system";
        return await orUnavailable("kubeadm", async () => {
          const map = await api.get(`${system}/configmaps/kubeadm-config`, signal);
          const configuration: unknown = parse(map.text("data", "ClusterConfiguration"));
          if (typeof configuration !== "object" || configuration === null) {
            throw new Error("the ConfigMap kubeadm-config has no ClusterConfiguration");
          }
          const namespace = await api.get(system, signal);
          const name = new JsonObject(configuration).text("clusterName");
          return { attributes: { "k8s.cluster.name": name, "k8s.cluster.uid": namespace.text("metadata", "uid") } };
        });
      } finally {
        await api.close();
      }
    },
  };
}
