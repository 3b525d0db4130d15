import type { AnyAttribute, AnyBody, Field } from "#lang/schema";
import { editDistance, nearest } from "#lang/suggest";
import type { ComponentDefinition } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { ComponentNode } from "#runtime/component-node";
import type { Controller } from "#runtime/controller";

/** What can be fed from text and shown as text. */
export type PipedSignal = "logs" | "metrics";

/** A component with its evaluated arguments, to be run apart from the configuration that it stands in. */
export interface PipeSubject {
  readonly id: string;
  readonly label: string;
  readonly definition: ComponentDefinition;
  readonly args: unknown;
  readonly signal: PipedSignal;
  /** The export that takes what is fed. */
  readonly receiver: string;
}

/** There is no such component, or none that can be fed. The message says what to do. */
export class SubjectError extends Error {
  override readonly name = "SubjectError";
  readonly isMissing: boolean;
  constructor(message: string, isMissing: boolean) {
    super(message);
    this.isMissing = isMissing;
  }
}

/** The component with this id (`mod.a/loki.process.x`). Throws a SubjectError. */
export function findSubject(controller: Controller, id: string): PipeSubject {
  const nodes = [...controller.nodes()];
  const components = nodes.map(({ node }) => node).filter((node) => node instanceof ComponentNode);
  const suitable = components.filter((node) => pipedExport(node.definition) !== undefined).map((node) => node.id);
  const node = components.find((each) => each.id === id);
  if (node === undefined) {
    const isInside = (each: string) => each.startsWith(`${id}/`);
    if (components.some((each) => isInside(each.id))) {
      const inside = listed(suitable.filter(isInside), "nothing inside of it");
      throw new SubjectError(`"${id}" is a module, not a component: name one inside of it${inside}`, true);
    }
    const near = nearest(
      id,
      components.map((each) => each.id),
    );
    const hint = near === undefined ? listed(byDistance(id, suitable)) : `: did you mean "${near}"?`;
    throw new SubjectError(`there is no component "${id}"${hint}`, true);
  }
  const { definition, args } = node;
  const found = pipedExport(definition);
  if (found === undefined) {
    throw new SubjectError(
      `"${id}" cannot be piped: that takes a component which is handed log entries or samples and hands the same on, ` +
        `such as loki.process or prometheus.relabel${listed(byDistance(id, suitable))}`,
      false,
    );
  }
  if (args === undefined) {
    throw new SubjectError(`the arguments of "${id}" could not be evaluated: ${node.health.message}`, false);
  }
  return { id, label: node.localId.slice(definition.name.length + 1), definition, args, ...found };
}

const MOST_LISTED = 5;

function listed(ids: readonly string[], nothing = "nothing in the configuration"): string {
  if (ids.length === 0) return `; ${nothing} can be piped`;
  const more = ids.length > MOST_LISTED ? ` and ${ids.length - MOST_LISTED} more` : "";
  return `; these can be piped: ${ids.slice(0, MOST_LISTED).join(", ")}${more}`;
}

function byDistance(wanted: string, ids: readonly string[]): string[] {
  return ids.toSorted((a, b) => editDistance(wanted, a) - editDistance(wanted, b));
}

/** By its schema: the consumer that a component exports, if all that it hands on is of the same signal. */
export function pipedExport(definition: {
  readonly args: AnyBody;
  readonly exports?: AnyBody | undefined;
}): Pick<PipeSubject, "signal" | "receiver"> | undefined {
  for (const [receiver, field] of definition.exports?.fields ?? []) {
    const signal = field.node === "attribute" && field.type.kind === "consumer" ? field.type.signal : undefined;
    if (signal !== "logs" && signal !== "metrics") continue;
    const given = new Set(signalsOf(definition.args, new Set()));
    return given.size === 1 && given.has(signal) ? { signal, receiver } : undefined;
  }
  return undefined;
}

/** The signals of all consumers in arguments of this form. `seen` ends the recursion of bodies inside of themselves. */
function* signalsOf(schema: AnyBody, seen: Set<AnyBody>): Generator<string> {
  if (seen.has(schema)) return;
  seen.add(schema);
  for (const field of schema.fields.values()) {
    if (field.node === "block" || field.node === "blocks") yield* signalsOf(field.body, seen);
    else if (field.node === "attribute") {
      const signal = signalOf(field);
      if (signal !== undefined) yield signal;
    }
  }
}

function signalOf({ type }: AnyAttribute): string | undefined {
  if (type.kind === "consumer") return type.signal;
  return type.kind === "list" ? signalOf(type.element) : undefined;
}

type Values = Readonly<Record<string, unknown>>;

/** A copy of arguments that hands everything on to `consumer` alone. */
export function redirected(schema: AnyBody, args: unknown, consumer: Consumer): unknown {
  const changed: Record<string, unknown> = { ...(args as Values) };
  for (const [name, field] of schema.fields) changed[name] = redirectedField(field, changed[name], consumer);
  return changed;
}

function redirectedField(field: Field, value: unknown, consumer: Consumer): unknown {
  if (value === undefined) return undefined;
  if (field.node === "block") return redirected(field.body, value, consumer);
  if (field.node === "blocks") {
    return (value as readonly unknown[]).map((each) => redirected(field.body, each, consumer));
  }
  if (field.node !== "attribute" || signalOf(field) === undefined) return value;
  return field.type.kind === "list" ? [consumer] : consumer;
}
