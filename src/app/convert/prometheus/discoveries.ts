import { type FieldRule, field, texts } from "../fields.ts";
import type { Body } from "../output.ts";
import { DISCOVERIES, type Discovery } from "../service-discovery.ts";
import type { Section } from "../settings.ts";

const refresh = (ms: number, source?: string) => field("refresh_interval", "duration", ms, source);
const port = field("port", "number", 80);
const separator = field("tag_separator", "text", ",");

/** A discovery whose settings are arguments of the same names, with the HTTP client's. */
function plain(component: string, ...fields: readonly FieldRule[]): Discovery {
  return { component: `discovery.${component}`, client: "all", fields };
}

/** Has also settings that the component has no argument for. */
function without(discovery: Discovery, ...names: readonly string[]): Discovery {
  const more = (section: Section, body: Body) => {
    discovery.more?.(section, body);
    for (const name of names) section.tell(name, "Error", `there is no such argument of ${discovery.component}`);
  };
  return { ...discovery, more };
}

/** Those that Promtail has too, and what Prometheus's have beyond it. */
function shared(setting: string, ...others: readonly string[]): [string, Discovery] {
  return [setting, without(DISCOVERIES.get(setting)!, ...others)];
}

function consul(): Discovery {
  const ofPromtail = DISCOVERIES.get("consul_sd_configs")!;
  const more = (section: Section, body: Body) => {
    ofPromtail.more?.(section, body);
    section.tell("path_prefix", "Error", 'there is no such argument; write server = "http://HOST:8500/PREFIX"');
  };
  return { ...ofPromtail, more };
}

/** Service discoveries of Prometheus 2 and 3 that there is a component for, by the setting's name. */
export const PROMETHEUS_DISCOVERIES: ReadonlyMap<string, Discovery> = new Map<string, Discovery>([
  shared("azure_sd_configs"),
  ["consul_sd_configs", consul()],
  shared("digitalocean_sd_configs"),
  shared("dns_sd_configs"),
  shared("docker_sd_configs"),
  shared("dockerswarm_sd_configs"),
  shared("ec2_sd_configs", "external_id"),
  ["eureka_sd_configs", plain("eureka", field("server", "text"), refresh(30_000))],
  shared("file_sd_configs"),
  shared("gce_sd_configs"),
  ["hetzner_sd_configs", without(plain("hetzner", field("role", "text"), refresh(60_000), port), "label_selector")],
  ["http_sd_configs", plain("http", field("url", "text"), refresh(60_000))],
  ["ionos_sd_configs", plain("ionos", field("datacenter_id", "text"), refresh(60_000), port)],
  shared("kubernetes_sd_configs"),
  [
    "kuma_sd_configs",
    without(
      plain("kuma", field("server", "text"), refresh(30_000, '"15s"'), field("fetch_timeout", "duration", 120_000)),
      "client_id",
    ),
  ],
  [
    "lightsail_sd_configs",
    without(
      plain(
        "lightsail",
        ...texts("endpoint", "region", "access_key", "secret_key", "profile", "role_arn"),
        refresh(60_000),
        port,
      ),
      "external_id",
    ),
  ],
  ["linode_sd_configs", plain("linode", refresh(60_000), port, separator, ...texts("region"))],
  shared("marathon_sd_configs"),
  shared("nerve_sd_configs"),
  [
    "nomad_sd_configs",
    plain(
      "nomad",
      field("allow_stale", "flag", true),
      field("namespace", "text", "default"),
      refresh(60_000),
      field("region", "text", "global"),
      field("server", "text", "http://localhost:4646"),
      separator,
    ),
  ],
  shared("openstack_sd_configs"),
  [
    "ovhcloud_sd_configs",
    {
      component: "discovery.ovhcloud",
      client: "none",
      fields: [
        field("endpoint", "text", "ovh-eu"),
        ...["application_key", "application_secret", "consumer_key", "service"].map((name) => field(name, "text")),
        refresh(60_000),
      ],
    },
  ],
  [
    "puppetdb_sd_configs",
    plain(
      "puppetdb",
      field("url", "text"),
      field("query", "text"),
      field("include_parameters", "flag", false),
      refresh(60_000),
      port,
    ),
  ],
  [
    "scaleway_sd_configs",
    {
      component: "discovery.scaleway",
      client: "plain",
      fields: [
        ...["project_id", "role", "access_key"].map((name) => field(name, "text")),
        ...texts("secret_key", "secret_key_file", "name_filter"),
        field("api_url", "text", "https://api.scaleway.com"),
        field("zone", "text", "fr-par-1"),
        field("tags_filter", "texts"),
        refresh(60_000),
        port,
      ],
    },
  ],
  shared("serverset_sd_configs"),
  shared("triton_sd_configs"),
  [
    "uyuni_sd_configs",
    {
      component: "discovery.uyuni",
      client: "plain",
      fields: [
        ...["server", "username", "password"].map((name) => field(name, "text")),
        field("entitlement", "text", "monitoring_entitled"),
        field("separator", "text", ","),
        refresh(60_000),
      ],
    },
  ],
]);

/** Those that there is no component for. */
export const OTHER_DISCOVERIES = ["aws_sd_configs", "stackit_sd_configs", "vultr_sd_configs", "outscale_sd_configs"];
