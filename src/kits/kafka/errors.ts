/**
 * What went wrong between the agent and Kafka, in words that say what to do. Codes and names:
 * kafka.apache.org/protocol, "Error Codes".
 */

/**
 * - `connection`: no broker answers; `tls`, `authentication`: a broker answers, and refuses who asks
 * - `authorization`: the user lacks a right
 * - `coordinator`, `leader`: another broker is responsible by now, or will be soon
 * - `rejoin`: the group goes on without this member, or is about to share out anew
 * - `protocol`: an answer that nobody expects
 */
export type KafkaFailure =
  | "connection"
  | "tls"
  | "authentication"
  | "authorization"
  | "coordinator"
  | "leader"
  | "rejoin"
  | "configuration"
  | "protocol";

export class KafkaError extends Error {
  override readonly name = "KafkaError";
  readonly kind: KafkaFailure;
  /** Kafka's code; 0 where the failure is none of Kafka's. */
  readonly code: number;
  constructor(kind: KafkaFailure, message: string, options: { readonly code?: number; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.code = options.code ?? 0;
  }
}

export const KAFKA_CODES = {
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  ILLEGAL_GENERATION: 22,
  UNKNOWN_MEMBER_ID: 25,
  TOPIC_AUTHORIZATION_FAILED: 29,
  UNSUPPORTED_SASL_MECHANISM: 33,
  SASL_AUTHENTICATION_FAILED: 58,
  UNSUPPORTED_COMPRESSION_TYPE: 76,
  MEMBER_ID_REQUIRED: 79,
} as const;

const KNOWN: ReadonlyMap<number, readonly [kind: KafkaFailure, name: string, text: string]> = new Map([
  [1, ["protocol", "OFFSET_OUT_OF_RANGE", "the position is not within the partition"]],
  [2, ["protocol", "CORRUPT_MESSAGE", "the broker says that a message is damaged on its disk"]],
  [3, ["leader", "UNKNOWN_TOPIC_OR_PARTITION", "the topic does not exist"]],
  [5, ["leader", "LEADER_NOT_AVAILABLE", "the partition has no leader: brokers of the cluster are down or starting"]],
  [6, ["leader", "NOT_LEADER_OR_FOLLOWER", "another broker leads the partition by now"]],
  [7, ["connection", "REQUEST_TIMED_OUT", "the broker could not do it in time"]],
  [9, ["leader", "REPLICA_NOT_AVAILABLE", "the broker does not have the partition yet"]],
  [
    10,
    [
      "configuration",
      "MESSAGE_TOO_LARGE",
      "it is larger than allowed: make requests smaller, or raise max_message_bytes here and max.message.bytes of the topic",
    ],
  ],
  [13, ["connection", "NETWORK_EXCEPTION", "the broker lost its own connection to another"]],
  [14, ["coordinator", "COORDINATOR_LOAD_IN_PROGRESS", "the group's coordinator is starting"]],
  [15, ["coordinator", "COORDINATOR_NOT_AVAILABLE", "the group has no coordinator: brokers are down or starting"]],
  [16, ["coordinator", "NOT_COORDINATOR", "another broker coordinates the group by now"]],
  [17, ["configuration", "INVALID_TOPIC_EXCEPTION", "Kafka does not take this name for a topic"]],
  [19, ["leader", "NOT_ENOUGH_REPLICAS", "fewer replicas are in sync than the topic wants (min.insync.replicas)"]],
  [
    20,
    [
      "leader",
      "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
      "fewer replicas are in sync than the topic wants (min.insync.replicas)",
    ],
  ],
  [22, ["rejoin", "ILLEGAL_GENERATION", "the group has shared out its partitions anew"]],
  [
    23,
    [
      "configuration",
      "INCONSISTENT_GROUP_PROTOCOL",
      "the other members of the group share out by another `assignor`: all members of a group need the same one",
    ],
  ],
  [24, ["configuration", "INVALID_GROUP_ID", "the broker does not take this `group_id`"]],
  [25, ["rejoin", "UNKNOWN_MEMBER_ID", "the group took this member for gone"]],
  [
    26,
    [
      "configuration",
      "INVALID_SESSION_TIMEOUT",
      "the broker does not allow sessions of 10 s (group.min.session.timeout.ms, group.max.session.timeout.ms)",
    ],
  ],
  [27, ["rejoin", "REBALANCE_IN_PROGRESS", "the group is about to share out its partitions anew"]],
  [
    29,
    ["authorization", "TOPIC_AUTHORIZATION_FAILED", "the user may not read the topic: allow READ and DESCRIBE on it"],
  ],
  [30, ["authorization", "GROUP_AUTHORIZATION_FAILED", "the user may not use the consumer group: allow READ on it"]],
  [31, ["authorization", "CLUSTER_AUTHORIZATION_FAILED", "the user may not use the cluster"]],
  [33, ["authentication", "UNSUPPORTED_SASL_MECHANISM", "the broker does not have this SASL mechanism enabled"]],
  [34, ["authentication", "ILLEGAL_SASL_STATE", "the broker did not expect a SASL login on this port"]],
  [35, ["protocol", "UNSUPPORTED_VERSION", "the broker does not know this request in this version"]],
  [56, ["leader", "KAFKA_STORAGE_ERROR", "the broker has a problem with its disk"]],
  [58, ["authentication", "SASL_AUTHENTICATION_FAILED", "the broker refuses the credentials"]],
  [69, ["configuration", "GROUP_ID_NOT_FOUND", "the group does not exist"]],
  [74, ["leader", "FENCED_LEADER_EPOCH", "another broker leads the partition by now"]],
  [75, ["leader", "UNKNOWN_LEADER_EPOCH", "the broker does not know the partition's leader yet"]],
  [
    76,
    [
      "configuration",
      "UNSUPPORTED_COMPRESSION_TYPE",
      "the messages are compressed with zstd, which the protocol of `version` does not have: set `version` to 2.1.0 or higher",
    ],
  ],
  [78, ["leader", "OFFSET_NOT_AVAILABLE", "the partition's new leader is not ready yet"]],
  [79, ["rejoin", "MEMBER_ID_REQUIRED", "the member has to join again by the name that it was given"]],
  [
    81,
    ["configuration", "GROUP_MAX_SIZE_REACHED", "the group has as many members as the brokers allow (group.max.size)"],
  ],
  [100, ["leader", "UNKNOWN_TOPIC_ID", "the topic was made anew"]],
]);

/** The error of a code in a response. `what` says what was asked for, as in "reading topic logs". */
export function kafkaError(code: number, what: string, said?: string | null): KafkaError {
  const [kind, name, text] = KNOWN.get(code) ?? (["protocol", `error ${code}`, "Kafka refused it"] as const);
  const words = said !== null && said !== undefined && said !== "" ? `; it says: ${said}` : "";
  return new KafkaError(kind, `${what}: ${text} (${name})${words}`, { code });
}

export function throwIfFailed(code: number, what: string, said?: string | null): void {
  if (code !== 0) throw kafkaError(code, what, said);
}
