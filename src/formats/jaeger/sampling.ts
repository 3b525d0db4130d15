/** How Jaeger's clients are told what to sample: api_v2/sampling.proto of jaeger-idl, and the documents that say it. */
import { ProtoReader, ProtoWriter } from "../protobuf.ts";

/** A rate from 0 to 1 or a number of traces a second, and rates for single operations. */
export interface SamplingStrategy {
  readonly probability: number | undefined;
  readonly tracesPerSecond: number | undefined;
  readonly operations: OperationSampling | undefined;
}
interface OperationSampling {
  readonly defaultProbability: number;
  readonly lowerBound: number;
  readonly upperBound: number;
  readonly operations: readonly OperationStrategy[];
}
interface OperationStrategy {
  readonly operation: string;
  readonly probability: number | undefined;
}

export interface SamplingStrategies {
  readonly fallback: SamplingStrategy;
  readonly services: ReadonlyMap<string, SamplingStrategy>;
  /** What in the document has no effect, and why. */
  readonly warnings: readonly string[];
}

/** The text is no document with strategies. */
export class SamplingError extends Error {
  override readonly name = "SamplingError";
}

/** What those get who are told nothing else. */
const DEFAULT_PROBABILITY = 0.001;
const RATE_LIMITING = 1;
const MAX_INT32 = 2 ** 31 - 1;

type Members = Readonly<Record<string, unknown>>;

/**
 * Reads a document with `default_strategy` and `service_strategies`, as Jaeger's and the Collector's file source do. Services
 * without rates for operations get those of the default strategy if they are sampled by probability; with
 * `forEveryService`, others too. Throws a SamplingError.
 */
export function readSamplingStrategies(text: string, forEveryService: boolean): SamplingStrategies {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new SamplingError(`it is no JSON: ${(error as Error).message}`);
  }
  const warnings: string[] = [];
  const { default_strategy: given, service_strategies: list } = document === null ? {} : object(document, "it");
  const fallback =
    given === undefined || given === null ? plain(DEFAULT_PROBABILITY) : serviceOf(given, "default_strategy", warnings);
  const services = new Map<string, SamplingStrategy>();
  for (const [i, each] of listOf(list, "service_strategies").entries()) {
    const where = `service_strategies[${i}]`;
    const strategy = serviceOf(each, where, warnings);
    services.set(nameOf(object(each, where).service, `${where}.service`), merged(strategy, fallback, forEveryService));
  }
  return { fallback, services, warnings };
}

/** The strategy of a service with what the default one says of operations; its own rates come first. */
function merged(own: SamplingStrategy, fallback: SamplingStrategy, forEveryService: boolean): SamplingStrategy {
  const common = fallback.operations;
  if (common === undefined) return own;
  if (own.operations === undefined) {
    if (own.probability === undefined && !forEveryService) return own;
    return { ...own, operations: { ...common, defaultProbability: own.probability ?? common.defaultProbability } };
  }
  const known = new Set(own.operations.operations.map(({ operation }) => operation));
  const more = common.operations.filter(({ operation }) => !known.has(operation));
  return { ...own, operations: { ...own.operations, operations: [...own.operations.operations, ...more] } };
}

function serviceOf(value: unknown, where: string, warnings: string[]): SamplingStrategy {
  const members = object(value, where);
  const strategy = strategyOf(members, where, warnings);
  const list = listOf(members.operation_strategies, `${where}.operation_strategies`);
  if (list.length === 0) return strategy;
  const operations: OperationStrategy[] = [];
  for (const [i, each] of list.entries()) {
    const at = `${where}.operation_strategies[${i}]`;
    const operation = object(each, at);
    const { probability, tracesPerSecond } = strategyOf(operation, at, warnings);
    const name = nameOf(operation.operation, `${at}.operation`);
    if (tracesPerSecond === undefined) operations.push({ operation: name, probability });
    else warnings.push(`${at}: operations can only be sampled by probability; ${JSON.stringify(name)} is left out`);
  }
  const defaultProbability = strategy.probability ?? DEFAULT_PROBABILITY;
  return { ...strategy, operations: { defaultProbability, lowerBound: 0, upperBound: 0, operations } };
}

function strategyOf(members: Members, where: string, warnings: string[]): SamplingStrategy {
  const type = nameOf(members.type, `${where}.type`);
  const param = members.param ?? 0;
  if (typeof param !== "number") throw new SamplingError(`${where}.param must be a number`);
  if (type === "probabilistic") return plain(param);
  if (type === "ratelimiting") {
    const tracesPerSecond = Math.trunc(Math.max(-MAX_INT32, Math.min(MAX_INT32, param)));
    return { probability: undefined, tracesPerSecond, operations: undefined };
  }
  warnings.push(
    `${where}: type ${JSON.stringify(type)} is neither "probabilistic" nor "ratelimiting"; ${DEFAULT_PROBABILITY} is sampled`,
  );
  return plain(DEFAULT_PROBABILITY);
}

function plain(probability: number): SamplingStrategy {
  return { probability, tracesPerSecond: undefined, operations: undefined };
}

function object(value: unknown, where: string): Members {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Members;
  throw new SamplingError(`${where} must be an object`);
}
function listOf(value: unknown, where: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new SamplingError(`${where} must be a list`);
  return value;
}
function nameOf(value: unknown, where: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw new SamplingError(`${where} must be a string`);
  return value;
}

/** A SamplingStrategyResponse. */
export function encodeSamplingStrategy({ probability, tracesPerSecond, operations }: SamplingStrategy): Uint8Array {
  const writer = new ProtoWriter(64);
  if (tracesPerSecond !== undefined) writer.int32(1, RATE_LIMITING);
  if (probability !== undefined) writeProbability(writer, 2, probability);
  if (tracesPerSecond !== undefined) {
    const mark = writer.begin(3);
    if (tracesPerSecond !== 0) writer.int32(1, tracesPerSecond);
    writer.end(mark);
  }
  if (operations !== undefined) {
    const mark = writer.begin(4);
    if (operations.defaultProbability !== 0) writer.double(1, operations.defaultProbability);
    if (operations.lowerBound !== 0) writer.double(2, operations.lowerBound);
    for (const each of operations.operations) {
      const inner = writer.begin(3);
      if (each.operation !== "") writer.string(1, each.operation);
      if (each.probability !== undefined) writeProbability(writer, 2, each.probability);
      writer.end(inner);
    }
    if (operations.upperBound !== 0) writer.double(4, operations.upperBound);
    writer.end(mark);
  }
  return writer.finish();
}

function writeProbability(writer: ProtoWriter, field: number, probability: number): void {
  const mark = writer.begin(field);
  if (probability !== 0) writer.double(1, probability);
  writer.end(mark);
}

/** Reads a SamplingStrategyResponse. Throws a ProtobufError. */
export function decodeSamplingStrategy(bytes: Uint8Array): SamplingStrategy {
  const reader = new ProtoReader(bytes);
  let type = 0;
  let probability: number | undefined;
  let tracesPerSecond: number | undefined;
  let operations: OperationSampling | undefined;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 8) type = reader.int32();
    else if (tag === 18) probability = readProbability(reader);
    else if (tag === 26) tracesPerSecond = readTracesPerSecond(reader);
    else if (tag === 34) operations = readOperations(reader);
    else reader.skip(tag);
  }
  // The type is said by which of the two is there, unless it says that neither is.
  if (type === RATE_LIMITING) tracesPerSecond ??= 0;
  return { probability, tracesPerSecond, operations };
}

function readProbability(reader: ProtoReader): number {
  let probability = 0;
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 9) probability = reader.double();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return probability;
}

function readTracesPerSecond(reader: ProtoReader): number {
  let traces = 0;
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 8) traces = reader.int32();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return traces;
}

function readOperations(reader: ProtoReader): OperationSampling {
  let [defaultProbability, lowerBound, upperBound] = [0, 0, 0];
  const operations: OperationStrategy[] = [];
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 9) defaultProbability = reader.double();
    else if (tag === 17) lowerBound = reader.double();
    else if (tag === 33) upperBound = reader.double();
    else if (tag === 26) operations.push(readOperation(reader));
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { defaultProbability, lowerBound, upperBound, operations };
}

function readOperation(reader: ProtoReader): OperationStrategy {
  let operation = "";
  let probability: number | undefined;
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 10) operation = reader.string();
    else if (tag === 18) probability = readProbability(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { operation, probability };
}

/**
 * A strategy as JSON without zeros, as the Collector's extension shows it, but with the type by name: so Jaeger's own servers
 * do it, and the clients for Node, Java and Python, and OpenTelemetry's for Node, understand nothing else.
 */
export function samplingStrategyToJson({ probability, tracesPerSecond, operations }: SamplingStrategy): string {
  const rate = (value: number) => (value === 0 ? {} : { samplingRate: value });
  const some = (name: string, value: number) => (value === 0 ? {} : { [name]: value });
  return JSON.stringify({
    strategyType: tracesPerSecond === undefined ? "PROBABILISTIC" : "RATE_LIMITING",
    ...(probability !== undefined && { probabilisticSampling: rate(probability) }),
    ...(tracesPerSecond !== undefined && { rateLimitingSampling: some("maxTracesPerSecond", tracesPerSecond) }),
    ...(operations !== undefined && {
      operationSampling: {
        ...some("defaultSamplingProbability", operations.defaultProbability),
        ...some("defaultLowerBoundTracesPerSecond", operations.lowerBound),
        ...(operations.operations.length > 0 && {
          perOperationStrategies: operations.operations.map((each) => ({
            ...(each.operation !== "" && { operation: each.operation }),
            ...(each.probability !== undefined && { probabilisticSampling: rate(each.probability) }),
          })),
        }),
        ...some("defaultUpperBoundTracesPerSecond", operations.upperBound),
      },
    }),
  });
}

/** The service that a SamplingStrategyParameters message, or a HealthCheckRequest, names. Throws a ProtobufError. */
export function decodeServiceName(bytes: Uint8Array): string {
  const reader = new ProtoReader(bytes);
  let name = "";
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 10) name = reader.string();
    else reader.skip(tag);
  }
  return name;
}
/** A SamplingStrategyParameters message. */
export function encodeServiceName(name: string): Uint8Array {
  const writer = new ProtoWriter(32);
  if (name !== "") writer.string(1, name);
  return writer.finish();
}
