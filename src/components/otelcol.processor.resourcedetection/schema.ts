import { debugMetricsSchema, outputSchema } from "#kits/otelcol/schema";
import { tlsClientSchema } from "#kits/otelcol/tls";
import { regexFaults } from "#kits/regex-argument";
import { DETECTOR_ATTRIBUTES } from "#kits/resource-detectors/attributes";
import { KUBERNETES_AUTH_TYPES } from "#kits/resource-detectors/kubernetes-api";
import { DETECTORS, type DetectorName } from "#kits/resource-detectors/registry";
import { HOSTNAME_SOURCES } from "#kits/resource-detectors/system";
import { type Infer, s } from "#lang/schema";

type WithAttributes = keyof typeof DETECTOR_ATTRIBUTES;

const toggleSchema = s.object({ enabled: s.bool().doc("Whether the attribute is added.") });

/** `resource_attributes { host.name { enabled = false } }` */
function toggles(detector: WithAttributes) {
  const fields = [...DETECTOR_ATTRIBUTES[detector]].map(
    ([name, enabled]) =>
      [name, s.block(toggleSchema).presentByDefault({ enabled }).doc(`The attribute \`${name}\`.`)] as const,
  );
  const body = s.object(Object.fromEntries(fields));
  return s.block(body).presentByDefault().doc("Attributes to add.");
}
function plain(detector: WithAttributes) {
  return s
    .block(s.object({ resource_attributes: toggles(detector) }))
    .presentByDefault()
    .doc(`The detector \`${detector}\`.`);
}
const failOnMissing = s
  .bool()
  .default(false)
  .doc("Whether a metadata service that cannot be reached is a failure; better set for all detectors at once.");
/** A detector that had an argument for that once. */
function withFailure(detector: WithAttributes) {
  return s
    .block(s.object({ fail_on_missing_metadata: failOnMissing, resource_attributes: toggles(detector) }))
    .presentByDefault()
    .doc(`The detector \`${detector}\`.`);
}

const kubernetesFields = {
  auth_type: s.oneOf(KUBERNETES_AUTH_TYPES).default("none").doc("How to log in to the Kubernetes API."),
  context: s.string().default("").doc("Context of the kubeconfig file; its current one when empty."),
};
const withoutTls = 'cannot be "tls", for which nothing could be configured: use `serviceAccount` or `kubeConfig`';

const ec2Schema = s
  .object({
    tags: s.list(s.string()).default([]).doc("Expressions for the keys of tags to add as `ec2.tag.KEY`."),
    max_attempts: s.int(0).default(3).doc("How often the metadata service is asked for each thing."),
    max_backoff: s.duration().default("20s").doc("Longest pause between two attempts."),
    fail_on_missing_metadata: failOnMissing,
    tags_from_imds: s.bool().default(false).doc("Take tags from the metadata service, not from the EC2 API."),
    resource_attributes: toggles("ec2"),
  })
  .refuse((a) => regexFaults("tags", a.tags));
const azureSchema = s
  .object({
    tags: s.list(s.string()).default([]).doc("Expressions for the keys of tags to add as `azure.tag.KEY`."),
    resource_attributes: toggles("azure"),
  })
  .refuse((a) => regexFaults("tags", a.tags));
const novaSchema = s
  .object({
    fail_on_missing_metadata: failOnMissing,
    labels: s
      .list(s.string())
      .default([])
      .doc("Expressions for the keys of metadata to add as `openstack.nova.meta.KEY`."),
    resource_attributes: toggles("nova"),
  })
  .refuse((a) => regexFaults("labels", a.labels));

const openshiftSchema = s
  .object({
    address: s.string().default("").doc("Address of the OpenShift API; that of the pod's cluster when empty."),
    token: s.string().default("").doc("Token for the API; that of the pod's service account when empty."),
    tls: s
      .block(tlsClientSchema)
      .presentByDefault()
      .doc("TLS towards the API. Certificates are read each time that it is asked, whatever `reload_interval` says."),
    resource_attributes: toggles("openshift"),
  })
  .rule(
    "tls",
    ({ tls }) =>
      tls.cipher_suites.length === 0 &&
      tls.curve_preferences.length === 0 &&
      tls.max_version.endsWith("1.3") &&
      /^$|1\.[23]$/.test(tls.min_version) &&
      !tls.include_system_ca_certs_pool &&
      !tls.include_insecure_cipher_suites,
    "has no effect here on ciphers, curves, `max_version`, `include_system_ca_certs_pool` and versions before 1.2: leave them out",
  );

export const args = s
  .object({
    detectors: s
      .list(s.oneOf(Object.keys(DETECTORS) as DetectorName[]))
      .default(["env"])
      .doc("What to look for; of several that know an attribute, the first has the say."),
    override: s.bool().default(true).doc("Whether detected attributes replace those that the data has."),
    fail_on_missing_metadata: s
      .bool()
      .default(false)
      .doc("Whether a platform that is not there is a failure, which the status tells of and which is tried again."),
    timeout: s.duration().default("5s").doc("Longest time for one attempt, and for which data waits at the start."),
    ec2: s.block(ec2Schema).presentByDefault().doc("The detector `ec2`."),
    ecs: plain("ecs"),
    eks: s
      .block(
        s.object({
          node_from_env_var: s.string().default("K8S_NODE_NAME").doc("Variable with the node's name."),
          resource_attributes: toggles("eks"),
        }),
      )
      .presentByDefault()
      .doc("The detector `eks`."),
    elasticbeanstalk: plain("elasticbeanstalk"),
    lambda: plain("lambda"),
    akamai: plain("akamai"),
    azure: s.block(azureSchema).presentByDefault().doc("The detector `azure`."),
    aks: plain("aks"),
    consul: s
      .block(
        s.object({
          address: s.string().default("").doc("Address of the Consul agent; `CONSUL_HTTP_ADDR` when empty."),
          datacenter: s.string().default("").doc("Datacenter; that of the agent when empty."),
          token: s.secret().default("").doc("Token of Consul's access control lists."),
          namespace: s.string().default("").doc("Namespace."),
          meta: s.list(s.string()).default([]).doc("Keys of the node's metadata to add."),
          resource_attributes: toggles("consul"),
        }),
      )
      .presentByDefault()
      .doc("The detector `consul`."),
    docker: plain("docker"),
    digitalocean: plain("digitalocean"),
    gcp: plain("gcp"),
    heroku: plain("heroku"),
    hetzner: plain("hetzner"),
    system: s
      .block(
        s.object({
          hostname_sources: s
            .list(s.oneOf(HOSTNAME_SOURCES))
            .default(["dns", "os"])
            .doc("Where the host's name is looked for, one after the other."),
          resource_attributes: toggles("system"),
        }),
      )
      .presentByDefault()
      .doc("The detector `system`."),
    openshift: s.block(openshiftSchema).presentByDefault().doc("The detector `openshift`."),
    kubernetes_node: s
      .block(
        s
          .object({
            ...kubernetesFields,
            node_from_env_var: s.string().default("K8S_NODE_NAME").doc("Variable with the node's name."),
            resource_attributes: toggles("kubernetes_node"),
          })
          .rule("auth_type", (a) => a.auth_type !== "tls", withoutTls),
      )
      .presentByDefault()
      .doc("The detector `kubernetes_node`."),
    kubeadm: s
      .block(
        s
          .object({ ...kubernetesFields, resource_attributes: toggles("kubeadm") })
          .rule("auth_type", (a) => a.auth_type !== "tls", withoutTls),
      )
      .presentByDefault()
      .doc("The detector `kubeadm`."),
    dynatrace: s.block(s.object({})).presentByDefault().doc("The detector `dynatrace`."),
    nova: s.block(novaSchema).presentByDefault().doc("The detector `nova`."),
    oraclecloud: plain("oraclecloud"),
    scaleway: plain("scaleway"),
    upcloud: withFailure("upcloud"),
    vultr: withFailure("vultr"),
    tencent_cvm: withFailure("tencent_cvm"),
    alibaba_ecs: withFailure("alibaba_ecs"),
    output: s.block(outputSchema).required().doc("Where the data goes."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("detectors", (a) => a.detectors.length > 0, "must name at least one detector")
  .rule("timeout", (a) => a.timeout > 0, "must be positive");
export type Arguments = Infer<typeof args>;
