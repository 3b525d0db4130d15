import type { ContextName } from "./contexts.ts";
import { collectionConverters } from "./functions-collections.ts";
import { editors } from "./functions-editors.ts";
import { hashConverters } from "./functions-hash.ts";
import { logFunctions } from "./functions-log.ts";
import { metricConditions, metricFunctions, pointFunctions } from "./functions-metric.ts";
import { parsingConverters } from "./functions-parse.ts";
import { spanFunctions } from "./functions-span.ts";
import { textConverters } from "./functions-text.ts";
import { timeConverters } from "./functions-time.ts";
import { isRootSpan, typeConverters } from "./functions-types.ts";
import { xmlConverters } from "./functions-xml.ts";
import type { OttlFunction } from "./parameters.ts";

/** Which functions there are where. Matches ottlfuncs.StandardFuncs, and what the transform and filter processors add. */

type Functions = ReadonlyMap<string, OttlFunction>;

const converters: readonly OttlFunction[] = [
  ...typeConverters,
  ...textConverters,
  ...parsingConverters,
  ...collectionConverters,
  ...timeConverters,
  ...hashConverters,
  ...xmlConverters,
];

function named(functions: readonly OttlFunction[]): Functions {
  return new Map(functions.map((each) => [each.name, each]));
}

const standardConverters = named(converters);
const standard = named([...converters, ...editors]);

function plus(functions: Functions, more: readonly OttlFunction[]): Functions {
  return new Map([...functions, ...named(more)]);
}

const STATEMENTS: Readonly<Record<ContextName, Functions>> = {
  resource: standard,
  scope: standard,
  span: plus(standard, [isRootSpan, ...spanFunctions]),
  spanevent: standard,
  log: plus(standard, logFunctions),
  metric: plus(standard, metricFunctions),
  datapoint: plus(standard, pointFunctions),
  exemplar: standard,
};
const CONDITIONS: Readonly<Record<ContextName, Functions>> = {
  resource: standardConverters,
  scope: standardConverters,
  span: plus(standardConverters, [isRootSpan]),
  spanevent: standardConverters,
  log: standardConverters,
  metric: plus(standardConverters, metricConditions),
  datapoint: standardConverters,
  exemplar: standardConverters,
};

/** The functions of statements. */
export function statementFunctions(context: ContextName): Functions {
  return STATEMENTS[context];
}

/** The functions of conditions that stand by themselves. */
export function conditionFunctions(context: ContextName): Functions {
  return CONDITIONS[context];
}
