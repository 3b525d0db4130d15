import { errorText } from "#base/log";
import { compileRegex } from "#base/regex";
import { ASSIGNORS } from "#kits/kafka/assignors";
import { kafkaAuthenticationSchema } from "#kits/kafka/client-schema";
import { brokerAddressProblem } from "#kits/kafka/cluster";
import { kafkaVersionProblem } from "#kits/kafka/messages";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { type Infer, s } from "#lang/schema";
import type { ComponentContext } from "#pipeline/component";

export const schema = s
  .object({
    brokers: s.list(s.string()).doc("Brokers to ask first, as `HOST:PORT`; they tell of the others."),
    topics: s
      .list(s.string())
      .doc("Topics to read. One that begins with `^` is a regular expression for names of topics."),
    group_id: s.string().default("loki.source.kafka").doc("Consumer group, whose members share the partitions."),
    assignor: s
      .oneOf([...ASSIGNORS, ""])
      .default("range")
      .doc("How the group shares out partitions: `range`, `roundrobin` or `sticky`; the same in all members."),
    version: s
      .string()
      .default("2.2.1")
      .doc("Newest version of Kafka's protocol to speak with brokers, which may be older or newer themselves."),
    use_incoming_timestamp: s.bool().default(false).doc("Keep the time of messages, rather than that of reading."),
    labels: s.map(s.string()).default({}).doc("Labels for all entries."),
    forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
    relabel_rules: s
      .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
      .optional()
      .doc(
        "Rules of a `loki.relabel`: they make labels of `__meta_kafka_topic`, `_partition`, `_member_id`, `_group_id`, and of `_message_key` and `_message_offset`.",
      ),
    authentication: s.block(kafkaAuthenticationSchema).presentByDefault().doc("How brokers are reached."),
  })
  .rule(
    "brokers",
    (a) => brokersProblem(a.brokers) === undefined,
    (a) => brokersProblem(a.brokers)!,
  )
  .rule(
    "topics",
    (a) => topicsProblem(a.topics) === undefined,
    (a) => topicsProblem(a.topics)!,
  )
  .rule(
    "version",
    (a) => a.version === "" || kafkaVersionProblem(a.version) === undefined,
    (a) => kafkaVersionProblem(a.version)!,
  );

export type Arguments = Infer<typeof schema>;
export type Context = ComponentContext;

function brokersProblem(brokers: readonly string[]): string | undefined {
  if (brokers.length === 0) return "is empty: no Kafka bootstrap brokers defined";
  return brokers.map(brokerAddressProblem).find((each) => each !== undefined);
}

function topicsProblem(topics: readonly string[]): string | undefined {
  if (topics.length === 0) return "is empty: no topics given to be consumed";
  for (const topic of topics) {
    if (topic === "") return "has an empty name: invalid empty topic";
    if (!topic.startsWith("^")) {
      if (/^[\w.-]{1,249}$/.test(topic)) continue;
      return `has "${topic}", which cannot be the name of a topic; a regular expression begins with ^`;
    }
    try {
      compileRegex(topic);
    } catch (error) {
      return `has an invalid topic pattern "${topic}": ${errorText(error)}`;
    }
  }
  return undefined;
}
