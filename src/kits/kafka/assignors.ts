import { KafkaReader, KafkaWriter } from "./protocol.ts";

/**
 * How a consumer group shares out partitions: its leader decides for all, by the strategy that all members know. Names and
 * formats are those of Kafka's own clients and of sarama (ConsumerProtocolSubscription, version 0; StickyAssignorUserData,
 * version 1), so that members of different kinds can share a group.
 */

export const ASSIGNORS = ["range", "roundrobin", "sticky"] as const;
export type Assignor = (typeof ASSIGNORS)[number];

/** Partitions by topic. */
export type Assignment = ReadonlyMap<string, readonly number[]>;

export interface Member {
  readonly id: string;
  readonly topics: readonly string[];
  /** What it had, and in which generation of the group; only the sticky strategy asks for that. */
  readonly owned: Assignment;
  readonly generation: number;
}

const SUBSCRIPTION_VERSION = 0;

export function writeSubscription(assignor: Assignor, { topics, owned, generation }: Omit<Member, "id">): Buffer {
  const writer = new KafkaWriter().int16(SUBSCRIPTION_VERSION);
  writer.array([...topics].sort(), (topic) => writer.string(topic));
  const isSticky = assignor === "sticky";
  return writer.blob(isSticky ? writePartitions(new KafkaWriter(), owned).int32(generation).bytes() : null).bytes();
}

export function readSubscription(id: string, assignor: Assignor, bytes: Buffer): Member {
  const reader = new KafkaReader(bytes);
  reader.int16(); // later versions add to the end
  const topics = reader.array(() => reader.string());
  const userData = reader.remaining >= 4 ? reader.blob() : null;
  if (assignor !== "sticky" || userData === null || userData.length === 0)
    return { id, topics, owned: new Map(), generation: -1 };
  const details = new KafkaReader(userData);
  const owned = readPartitions(details);
  return { id, topics, owned, generation: details.remaining >= 4 ? details.int32() : -1 };
}

export function writeAssignment(assignment: Assignment): Buffer {
  return writePartitions(new KafkaWriter().int16(SUBSCRIPTION_VERSION), assignment).blob(null).bytes();
}

export function readAssignment(bytes: Buffer): Assignment {
  if (bytes.length === 0) return new Map();
  const reader = new KafkaReader(bytes);
  reader.int16(); // version
  return readPartitions(reader);
}

function writePartitions(writer: KafkaWriter, assignment: Assignment): KafkaWriter {
  return writer.array(assignment, ([topic, partitions]) => {
    writer.string(topic).array(partitions, (partition) => writer.int32(partition));
  });
}

function readPartitions(reader: KafkaReader): Assignment {
  return new Map(reader.array(() => [reader.string(), reader.array(() => reader.int32())] as const));
}

/** Each partition for one of the members that ask for its topic. `partitions` has the number of partitions by topic. */
export function assign(
  assignor: Assignor,
  members: readonly Member[],
  partitions: ReadonlyMap<string, number>,
): Map<string, Assignment> {
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  const result = new Map(sorted.map(({ id }) => [id, new Map<string, number[]>()]));
  const give = (member: string, topic: string, partition: number) => {
    const own = result.get(member)!;
    const list = own.get(topic);
    if (list === undefined) own.set(topic, [partition]);
    else list.push(partition);
  };
  switch (assignor) {
    case "range":
      assignRanges(sorted, partitions, give);
      break;
    case "roundrobin":
      assignInTurn(sorted, partitions, give);
      break;
    case "sticky":
      assignSticky(sorted, partitions, give);
  }
  return result;
}

type Give = (member: string, topic: string, partition: number) => void;

/** Neighbouring partitions of each topic, the first members getting one more where it does not come out even. */
function assignRanges(members: readonly Member[], partitions: ReadonlyMap<string, number>, give: Give): void {
  for (const [topic, count] of partitions) {
    const interested = members.filter((each) => each.topics.includes(topic));
    if (interested.length === 0) continue;
    const each = Math.floor(count / interested.length);
    const more = count % interested.length;
    let next = 0;
    for (const [i, { id }] of interested.entries()) {
      for (const end = next + each + (i < more ? 1 : 0); next < end; next++) give(id, topic, next);
    }
  }
}

/** One partition after the other, going round among the members. */
function assignInTurn(members: readonly Member[], partitions: ReadonlyMap<string, number>, give: Give): void {
  let turn = 0;
  for (const topic of [...partitions.keys()].sort()) {
    if (!members.some((each) => each.topics.includes(topic))) continue;
    for (let partition = 0; partition < partitions.get(topic)!; partition++) {
      while (!members[turn % members.length]!.topics.includes(topic)) turn += 1;
      give(members[turn % members.length]!.id, topic, partition);
      turn += 1;
    }
  }
}

/** Members keep what they had as far as that is even; the rest goes to those with the least. */
function assignSticky(members: readonly Member[], partitions: ReadonlyMap<string, number>, give: Give): void {
  const owners = previousOwners(members);
  const held = new Map(members.map((each) => [each, [] as { topic: string; partition: number }[]]));
  const free: { topic: string; partition: number }[] = [];
  for (const topic of [...partitions.keys()].sort()) {
    for (let partition = 0; partition < partitions.get(topic)!; partition++) {
      const owner = owners.get(`${topic}/${partition}`);
      if (owner?.topics.includes(topic)) held.get(owner)!.push({ topic, partition });
      else free.push({ topic, partition });
    }
  }
  const load = (member: Member) => held.get(member)!.length;
  const leastOf = (topic: string) => {
    let least: Member | undefined;
    for (const each of members)
      if (each.topics.includes(topic) && (least === undefined || load(each) < load(least))) least = each;
    return least;
  };
  for (const each of free) {
    const member = leastOf(each.topic);
    if (member !== undefined) held.get(member)!.push(each);
  }
  // Each move makes the shares more even, so it ends.
  for (let moved = true; moved; ) {
    moved = false;
    for (const member of [...members].sort((a, b) => load(b) - load(a))) {
      const own = held.get(member)!;
      const index = own.findLastIndex(({ topic }) => load(leastOf(topic)!) + 1 < own.length);
      if (index < 0) continue;
      const [part] = own.splice(index, 1);
      held.get(leastOf(part!.topic)!)!.push(part!);
      moved = true;
      break;
    }
  }
  for (const [member, parts] of held) for (const { topic, partition } of parts) give(member.id, topic, partition);
}

/** Of several members that say they had a partition, the one of the latest generation. */
function previousOwners(members: readonly Member[]): Map<string, Member> {
  const owners = new Map<string, Member>();
  for (const member of members) {
    for (const [topic, partitions] of member.owned) {
      for (const partition of partitions) {
        const key = `${topic}/${partition}`;
        const other = owners.get(key);
        if (other === undefined || other.generation < member.generation) owners.set(key, member);
      }
    }
  }
  return owners;
}
