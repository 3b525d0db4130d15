import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtobufError } from "../protobuf.ts";
import {
  decodeSamplingStrategy,
  decodeServiceName,
  encodeSamplingStrategy,
  encodeServiceName,
  readSamplingStrategies,
  SamplingError,
  type SamplingStrategy,
  samplingStrategyToJson,
} from "./sampling.ts";

const read = (document: unknown, forEveryService = false) =>
  readSamplingStrategies(JSON.stringify(document), forEveryService);
const shown = (strategy: SamplingStrategy | undefined) => JSON.parse(samplingStrategyToJson(strategy!)) as unknown;

test("services get the rates for operations that the default strategy has", () => {
  const document = {
    default_strategy: {
      type: "probabilistic",
      param: 0.5,
      operation_strategies: [
        { operation: "/health", type: "probabilistic", param: 0 },
        { operation: "/metrics", type: "probabilistic", param: 0.1 },
      ],
    },
    service_strategies: [
      { service: "rate", type: "probabilistic", param: 0.8 },
      { service: "limit", type: "ratelimiting", param: 5 },
      {
        service: "own",
        type: "ratelimiting",
        param: 5,
        operation_strategies: [
          { operation: "/health", type: "probabilistic", param: 1 },
          { operation: "/limited", type: "ratelimiting", param: 1 },
        ],
      },
    ],
  };
  const { fallback, services, warnings } = read(document);
  const health = { operation: "/health", probabilisticSampling: {} };
  const metrics = { operation: "/metrics", probabilisticSampling: { samplingRate: 0.1 } };
  assert.deepEqual(shown(fallback), {
    strategyType: "PROBABILISTIC",
    probabilisticSampling: { samplingRate: 0.5 },
    operationSampling: { defaultSamplingProbability: 0.5, perOperationStrategies: [health, metrics] },
  });
  assert.deepEqual(shown(services.get("rate")), {
    strategyType: "PROBABILISTIC",
    probabilisticSampling: { samplingRate: 0.8 },
    operationSampling: { defaultSamplingProbability: 0.8, perOperationStrategies: [health, metrics] },
  });
  const limit = { strategyType: "RATE_LIMITING", rateLimitingSampling: { maxTracesPerSecond: 5 } };
  assert.deepEqual(shown(services.get("limit")), limit);
  assert.deepEqual(shown(read(document, true).services.get("limit")), {
    ...limit,
    operationSampling: { defaultSamplingProbability: 0.5, perOperationStrategies: [health, metrics] },
  });
  assert.deepEqual(shown(services.get("own")), {
    ...limit,
    operationSampling: {
      defaultSamplingProbability: 0.001,
      perOperationStrategies: [{ operation: "/health", probabilisticSampling: { samplingRate: 1 } }, metrics],
    },
  });
  assert.deepEqual(warnings, [
    'service_strategies[2].operation_strategies[1]: operations can only be sampled by probability; "/limited" is left out',
  ]);
});

test("what a document does not say is the default, and what it says wrongly is refused", () => {
  assert.deepEqual(shown(read(null).fallback), {
    strategyType: "PROBABILISTIC",
    probabilisticSampling: { samplingRate: 0.001 },
  });
  const { fallback, warnings } = read({ default_strategy: { type: "adaptive", param: 1 } });
  assert.deepEqual(shown(fallback), { strategyType: "PROBABILISTIC", probabilisticSampling: { samplingRate: 0.001 } });
  assert.match(warnings[0]!, /^default_strategy: type "adaptive" is neither "probabilistic" nor "ratelimiting"/);
  const wrong: [string, RegExp][] = [
    ["{", /it is no JSON/],
    ["[]", /it must be an object/],
    ['{"default_strategy": 1}', /default_strategy must be an object/],
    ['{"default_strategy": {"type": "probabilistic", "param": "1"}}', /default_strategy.param must be a number/],
    ['{"service_strategies": {}}', /service_strategies must be a list/],
    ['{"service_strategies": [null]}', /service_strategies\[0\] must be an object/],
    ['{"service_strategies": [{"service": 1, "type": "probabilistic"}]}', /\[0\].service must be a string/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(
      () => readSamplingStrategies(text, false),
      (error: Error) => {
        assert.ok(error instanceof SamplingError);
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

test("a strategy comes out of the message as it went in; other bytes are refused or read, and end", () => {
  const rate = fc.double({ min: 0, max: 1, noNaN: true });
  const operation = fc.record({ operation: fc.string(), probability: fc.option(rate, { nil: undefined }) });
  const operations = fc.record({
    defaultProbability: rate,
    lowerBound: rate,
    upperBound: rate,
    operations: fc.array(operation),
  });
  const strategy = fc.record({
    probability: fc.option(rate, { nil: undefined }),
    tracesPerSecond: fc.option(fc.integer(), { nil: undefined }),
    operations: fc.option(operations, { nil: undefined }),
  });
  fc.assert(
    fc.property(strategy, (value) => {
      assert.deepEqual(decodeSamplingStrategy(encodeSamplingStrategy(value)), structuredClone(value));
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        decodeSamplingStrategy(bytes);
      } catch (error) {
        assert.ok(error instanceof ProtobufError);
      }
    }),
  );
  fc.assert(fc.property(fc.string(), (name) => assert.equal(decodeServiceName(encodeServiceName(name)), name)));
});
