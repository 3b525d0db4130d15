import type { KafkaConsumer } from "#kits/kafka/consumer";
import { describeDrops, type RecentDrops } from "#kits/recent-drops";
import type { Judgement } from "#pipeline/flow";

/** What the component's rules find. */

export function judgeConnection({ problem }: KafkaConsumer): Judgement {
  return problem === undefined ? undefined : { state: "failing", cause: problem.message };
}

export function judgeTopics(
  { missing, forbidden, topics, state }: KafkaConsumer,
  wanted: readonly string[],
): Judgement {
  if (forbidden.length > 0) {
    const cause = `the user may not read ${listed(forbidden)}: allow READ and DESCRIBE on ${forbidden.length === 1 ? "it" : "them"}`;
    return { state: "degraded", cause };
  }
  if (missing.length > 0) {
    const what = `${listed(missing)} ${missing.length === 1 ? "does" : "do"} not exist`;
    const cause = `${what}, or the user may not see it: check the spelling, create it, or give a pattern that begins with ^`;
    return { state: topics.length === 0 ? "failing" : "degraded", cause };
  }
  if (state !== "no topics") return undefined;
  return { state: "idle", cause: `no topic matches ${wanted.join(", ")}; they are looked for every few seconds` };
}

/** `the topic a`, `the topics a, b`. */
function listed(topics: readonly string[]): string {
  const some = topics.slice(0, 5).join(", ") + (topics.length > 5 ? ` and ${topics.length - 5} more` : "");
  return `the topic${topics.length === 1 ? "" : "s"} ${some}`;
}

export function judgePartitions({ claims }: KafkaConsumer): Judgement {
  const wanted = claims.filter((each) => !each.isPaused);
  const failed = wanted.filter((each) => each.problem !== undefined);
  const [first] = failed;
  if (first === undefined) return undefined;
  const cause = `${failed.length} of ${wanted.length} partitions cannot be read, such as ${first.name}: ${first.problem}`;
  return { state: failed.length === wanted.length ? "failing" : "degraded", cause };
}

export function judgeShare({ claims, state, topics }: KafkaConsumer, group: string): Judgement {
  if (state !== "reading" || claims.length > 0) return undefined;
  const cause = `the group ${group} has given this member no partition of ${topics.join(", ")}: it has as many members as there are partitions, or more`;
  return { state: "idle", cause };
}

export function judgeQuiet({ claims, state }: KafkaConsumer, lastSuccess: number): Judgement {
  const wanted = claims.filter((each) => !each.isPaused);
  if (lastSuccess > 0 || state !== "reading" || wanted.length === 0) return undefined;
  if (wanted.some((each) => each.highWatermark !== each.position)) return undefined;
  const cause = `there is no new message in ${wanted.length} partitions, such as ${wanted[0]!.name}: the group has read them to their end`;
  return { state: "idle", cause };
}

export function judgeLabels(
  unlabelled: readonly string[],
  dropped: readonly string[],
  { claims }: KafkaConsumer,
): Judgement {
  if (claims.length === 0) return undefined;
  const hint =
    'set `labels`, or give `relabel_rules` a rule such as rule { source_labels = ["__meta_kafka_topic"], target_label = "topic" }';
  if (unlabelled.length > 0) {
    const cause = `entries of ${unlabelled.length} of ${claims.length} partitions would have no label, and Loki refuses such: their messages are left in Kafka (${unlabelled[0]}); ${hint}`;
    return { state: unlabelled.length === claims.length ? "failing" : "degraded", cause };
  }
  if (dropped.length < claims.length) return undefined;
  return {
    state: "idle",
    cause: "the rules in `relabel_rules` want none of the partitions: their messages are left in Kafka",
  };
}

export function judgeLost(drops: RecentDrops, now: number): Judgement {
  const recent = drops.recent(now);
  if (recent.length === 0) return undefined;
  return { state: "degraded", cause: `lost ${describeDrops(recent, "messages")}: ${recent[0]!.text}` };
}
