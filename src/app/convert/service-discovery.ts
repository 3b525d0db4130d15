import { copyFields, type FieldRule, field, texts } from "./fields.ts";
import { httpClient, plainHttpClient, tlsConfig } from "./http-client.ts";
import { Body } from "./output.ts";
import type { Section } from "./settings.ts";

/** How one of Prometheus's `*_sd_configs` becomes a discovery component. */
export interface Discovery {
  readonly component: string;
  readonly fields: readonly FieldRule[];
  /** Which of the client's settings it has; `plain` is all but credentials. */
  readonly client: "all" | "plain" | "tls" | "none";
  /** What is not a plain field. */
  readonly more?: (section: Section, body: Body, podField?: string) => void;
}

const refresh = (ms: number) => field("refresh_interval", "duration", ms);
const port = field("port", "number", 80);

function filters(section: Section, body: Body): void {
  for (const filter of section.sections("filters")) {
    const block = body.block("filter");
    copyFields(filter, block, [field("name", "text"), field("values", "texts")]);
    filter.rest();
  }
}

const OWN_NODE = "Pods of this node only: HOSTNAME has to be the name of the node.";

/** `podField` is an expression that selects pods further; there may be one selector for each role only. */
function kubernetes(section: Section, body: Body, podField?: string): void {
  const namespaces = section.section("namespaces");
  if (namespaces !== undefined) {
    const block = body.block("namespaces");
    copyFields(namespaces, block, [field("own_namespace", "flag", false), field("names", "texts")]);
    namespaces.rest();
  }
  let open = podField;
  for (const selector of section.sections("selectors")) {
    const block = body.block("selectors");
    copyFields(selector, block, [field("role", "text"), ...texts("label")]);
    const given = selector.rawText("field");
    if (open !== undefined && selector.text("role")?.fixed === "pod") {
      block.comment(OWN_NODE);
      block.attribute("field", given === undefined ? open : `${given.expression} + "," + ${open}`);
      open = undefined;
    } else block.attribute("field", given?.expression);
    selector.rest();
  }
  if (open !== undefined) {
    const block = body.block("selectors");
    block.comment(OWN_NODE);
    block.attribute("role", '"pod"');
    block.attribute("field", open);
  }
  const metadata = section.section("attach_metadata");
  if (metadata !== undefined) {
    const rules = [field("node", "flag", false), field("namespace", "flag", false)];
    copyFields(metadata, body.block("attach_metadata"), rules);
    metadata.rest();
  }
}

function azure(section: Section, body: Body): void {
  const method = section.text("authentication_method");
  const client = section.text("client_id")?.expression ?? '""';
  const tenant = section.text("tenant_id")?.expression ?? '""';
  const secret = section.text("client_secret")?.expression ?? '""';
  switch (method?.fixed ?? (method === undefined ? "OAuth" : "")) {
    case "OAuth": {
      const block = body.block("oauth");
      block.attribute("client_id", client);
      block.attribute("tenant_id", tenant);
      block.attribute("client_secret", secret);
      break;
    }
    case "ManagedIdentity":
      body.block("managed_identity").attribute("client_id", client);
      break;
    case "SDK":
      body.block("sdk_auth").attribute("tenant_id", tenant);
      break;
    case "WorkloadIdentity":
      body.block("workload_identity");
      break;
    default:
      section.add(
        "Error",
        "authentication_method",
        "must be OAuth, ManagedIdentity, SDK or WorkloadIdentity; it is left out",
      );
  }
}

function consul(section: Section, body: Body): void {
  const rules = texts("username", "password");
  // Prometheus takes both as basic authentication; the component's arguments of these names are deprecated.
  if (rules.some((rule) => section.has(rule.from))) copyFields(section, body.block("basic_auth"), rules);
  for (const name of ["filter", "health_filter"]) {
    section.tell(name, "Error", "there is no such argument; drop other services with rules of a discovery.relabel");
  }
}

function consulAgent(section: Section): void {
  section.tell("allow_stale", "Info", "has no meaning for the agent's API, and is left out");
  section.tell("node_meta", "Warning", "was not used by Promtail either, and is left out");
}

function digitalOcean(section: Section, body: Body): void {
  copyFields(section, body, [
    ...texts("bearer_token", "bearer_token_file", "proxy_url", "no_proxy"),
    field("proxy_from_environment", "flag", false),
    field("follow_redirects", "flag", true),
    field("enable_http2", "flag", true),
  ]);
  for (const name of ["basic_auth", "authorization", "oauth2", "tls_config"]) {
    section.tell(
      name,
      "Error",
      "there is no such argument; DigitalOcean's API takes bearer_token or bearer_token_file",
    );
  }
}

const CONSUL = [
  field("server", "text", "localhost:8500"),
  ...texts("token", "datacenter", "namespace", "partition"),
  field("tag_separator", "text", ","),
  field("scheme", "text", "http"),
  field("allow_stale", "flag", true),
  field("services", "texts"),
  field("tags", "texts"),
  field("node_meta", "textMap"),
  refresh(30_000),
];
const DOCKER = [field("host", "text"), port, refresh(60_000)];
const ZOOKEEPER = [field("servers", "texts"), field("paths", "texts"), field("timeout", "duration", 10_000)];

/** By the setting's name; in the order of Alloy's converter. */
export const DISCOVERIES: ReadonlyMap<string, Discovery> = new Map<string, Discovery>([
  [
    "azure_sd_configs",
    {
      component: "discovery.azure",
      client: "all",
      more: azure,
      fields: [
        field("environment", "text", "AzurePublicCloud"),
        port,
        ...texts("subscription_id"),
        refresh(300_000),
        ...texts("resource_group"),
      ],
    },
  ],
  ["consul_sd_configs", { component: "discovery.consul", client: "all", more: consul, fields: CONSUL }],
  [
    "digitalocean_sd_configs",
    { component: "discovery.digitalocean", client: "none", more: digitalOcean, fields: [refresh(60_000), port] },
  ],
  [
    "dockerswarm_sd_configs",
    {
      component: "discovery.dockerswarm",
      client: "all",
      more: filters,
      fields: [field("host", "text"), field("role", "text"), port, refresh(60_000)],
    },
  ],
  [
    "dns_sd_configs",
    {
      component: "discovery.dns",
      client: "none",
      fields: [field("names", "texts"), refresh(30_000), field("type", "text", "SRV"), field("port", "number", 0)],
    },
  ],
  [
    "ec2_sd_configs",
    {
      component: "discovery.ec2",
      client: "all",
      more: filters,
      fields: [
        ...texts("endpoint", "region", "access_key", "secret_key", "profile", "role_arn"),
        refresh(60_000),
        port,
      ],
    },
  ],
  [
    "file_sd_configs",
    { component: "discovery.file", client: "none", fields: [field("files", "texts"), refresh(300_000)] },
  ],
  [
    "gce_sd_configs",
    {
      component: "discovery.gce",
      client: "none",
      fields: [
        field("project", "text"),
        field("zone", "text"),
        ...texts("filter"),
        refresh(60_000),
        port,
        field("tag_separator", "text", ","),
      ],
    },
  ],
  [
    "kubernetes_sd_configs",
    {
      component: "discovery.kubernetes",
      client: "all",
      more: kubernetes,
      fields: [...texts("api_server"), field("role", "text"), ...texts("kubeconfig_file")],
    },
  ],
  [
    "marathon_sd_configs",
    {
      component: "discovery.marathon",
      client: "all",
      fields: [field("servers", "texts"), refresh(30_000), ...texts("auth_token", "auth_token_file")],
    },
  ],
  ["nerve_sd_configs", { component: "discovery.nerve", client: "none", fields: ZOOKEEPER }],
  [
    "openstack_sd_configs",
    {
      component: "discovery.openstack",
      client: "tls",
      fields: [
        ...texts("identity_endpoint", "username", "userid", "password", "project_name", "project_id", "domain_name"),
        ...texts("domain_id", "application_credential_name", "application_credential_id"),
        ...texts("application_credential_secret"),
        field("role", "text"),
        field("region", "text"),
        refresh(60_000),
        port,
        field("all_tenants", "flag", false),
        field("availability", "text", "public"),
      ],
    },
  ],
  ["serverset_sd_configs", { component: "discovery.serverset", client: "none", fields: ZOOKEEPER }],
  [
    "triton_sd_configs",
    {
      component: "discovery.triton",
      client: "tls",
      fields: [
        field("account", "text"),
        field("role", "text", "container"),
        field("dns_suffix", "text"),
        field("endpoint", "text"),
        field("groups", "texts"),
        field("port", "number", 9163),
        refresh(60_000),
        field("version", "number", 1),
      ],
    },
  ],
  [
    "consulagent_sd_configs",
    {
      component: "discovery.consulagent",
      client: "tls",
      more: consulAgent,
      fields: [
        ...CONSUL.filter((rule) => !["namespace", "partition", "allow_stale", "node_meta"].includes(rule.from)),
        ...texts("username", "password"),
      ],
    },
  ],
  [
    "docker_sd_configs",
    {
      component: "discovery.docker",
      client: "all",
      more: filters,
      fields: [
        ...DOCKER,
        field("host_networking_host", "text", "localhost"),
        field("match_first_network", "flag", true),
      ],
    },
  ],
]);

/** One element of a `*_sd_configs` as the component's body. `podField`: see `kubernetes`. */
export function discoveryBody(discovery: Discovery, section: Section, podField?: string): Body {
  const body = new Body();
  copyFields(section, body, discovery.fields);
  discovery.more?.(section, body, podField);
  if (discovery.client === "all") httpClient(section, body);
  if (discovery.client === "plain") plainHttpClient(section, body);
  if (discovery.client === "tls") tlsConfig(section, body);
  section.rest();
  return body;
}
