import { Body } from "../output.ts";
import type { Section } from "../settings.ts";
import type { BodyRules, Convert, Write } from "./body.ts";
import { GRPC_CLIENT, HTTP_CLIENT } from "./shared-blocks.ts";

export const OTLP_GRPC: BodyRules = { from: { client: "." }, blocks: { client: GRPC_CLIENT } };

export const OTLP_HTTP: BodyRules = {
  from: { client: "." },
  blocks: { client: { ...HTTP_CLIENT, convert: { endpoint } } },
  missing: ["profiles_endpoint"],
};

/** Alloy needs an endpoint also where all signals that come have their own. */
function endpoint(section: Section, name: string): ReturnType<Convert> {
  const own = ["traces_endpoint", "metrics_endpoint", "logs_endpoint"].find((each) => section.has(each));
  if (section.has(name) || own === undefined) return section.text(name);
  section.add(
    "Info",
    own,
    "is also written as endpoint, which Alloy needs; signals without an endpoint would go there",
  );
  return { expression: section.text(own)?.expression ?? '""', fixed: undefined };
}

const OWN_LOG = "debug output is written as it comes, without a queue";

export const DEBUG: BodyRules = { info: { sending_queue: OWN_LOG } };

/** `logging`, which became `debug`. */
export const LOGGING: BodyRules = {
  convert: { verbosity },
  from: { verbosity: "loglevel" },
  info: { sending_queue: OWN_LOG },
};

const VERBOSITIES = new Map([
  ["debug", "detailed"],
  ["info", "normal"],
]);

function verbosity(section: Section, name: string): ReturnType<Convert> {
  const given = section.text("verbosity");
  const level = section.text(name)?.fixed;
  if (given !== undefined || level === undefined) return given;
  const fixed = VERBOSITIES.get(level.toLowerCase()) ?? "basic";
  return { expression: `"${fixed}"`, fixed };
}

export const LOAD_BALANCING: BodyRules = {
  blocks: {
    protocol: {
      always: true,
      blocks: {
        otlp: {
          always: true,
          from: { queue: "sending_queue", retry: "retry_on_failure", client: "." },
          blocks: { client: GRPC_CLIENT },
          info: { endpoint: "has no effect, in the Collector neither: the resolver says where to send" },
        },
      },
    },
    resolver: { from: { kubernetes: "k8s" } },
  },
  missing: ["routing_attributes"],
};

/** Zero is the default in the Collector. */
function flushInterval(section: Section, name: string): ReturnType<Convert> {
  const value = section.duration(name);
  return value?.fixed === 0 ? undefined : value;
}

export const FILE: BodyRules = {
  convert: { flush_interval: flushInterval },
  blocks: { rotation: { isSwitch: true } },
  missing: ["create_directory", "directory_permissions"],
};

/** `all` is -1 in Alloy. */
function acknowledgements(section: Section, name: string): ReturnType<Convert> {
  if (section.rawText(name)?.fixed === "all") return { expression: "-1", fixed: -1 };
  return section.number(name);
}

/** Partitioners without settings are sections in the Collector and true in Alloy. */
const partitioner: Write = (tree, out) => {
  const settings = tree.child("record_partitioner");
  if (settings === undefined) return;
  const body = new Body();
  for (const name of ["round_robin", "least_backup"]) if (settings.child(name)) body.attribute(name, "true");
  const sticky = settings.child("sticky_key");
  if (sticky !== undefined) body.block("sticky_key").attribute("hasher", sticky.section.text("hasher")?.expression);
  settings.section.tell("extension", "Error", "a partitioner that is an extension is not possible in Alloy");
  if (!body.isEmpty) out.attach("record_partitioner", body);
};

export const KAFKA: BodyRules = {
  from: { authentication: "auth" },
  defaults: { protocol_version: '"2.1.0"' },
  blocks: {
    authentication: { from: { plaintext: "plain_text" }, blocks: { sasl: { missing: ["oauthbearer_token_source"] } } },
    metadata: { blocks: { retry: { from: { max_retries: "max" } } } },
    producer: { convert: { required_acks: acknowledgements } },
    tls: { isSwitch: true },
  },
  write: { record_partitioner: partitioner },
  missing: ["rack_id", "use_leader_epoch", "record_headers", "profiles"],
};
