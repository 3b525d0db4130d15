import { type BlockStatement, type Body, blockName, type Span, type Statement } from "#lang/ast";
import { type Reference, referencesOf } from "#lang/decode";
import type { Diagnostic } from "#lang/diagnostic";
import { nearest } from "#lang/suggest";
import type { ComponentDefinition } from "#pipeline/component";
import { CONFIG_BLOCKS, UNSUPPORTED_BLOCKS } from "./blocks/blocks.ts";
import type { Declarations } from "./declarations.ts";
import type { Environment } from "./environment.ts";
import { orderNodes } from "./graph.ts";
import { nodeId } from "./node.ts";

/** Where a body stands decides which blocks it may hold. */
export type ModuleKind = "root" | "declare" | "import" | "template";

export type PlannedKind = "component" | "custom" | "declare" | "argument" | "export" | "import" | "foreach" | "config";

/** A block with everything that can be said of it without evaluating anything. */
export interface PlannedBlock {
  readonly id: string;
  readonly kind: PlannedKind;
  readonly block: BlockStatement;
  readonly definition: ComponentDefinition | undefined;
  /** Local ids of the blocks that this one refers to. */
  readonly dependencies: ReadonlySet<string>;
}

export interface Plan {
  /** In the order of evaluation. */
  readonly blocks: readonly PlannedBlock[];
  readonly diagnostics: readonly Diagnostic[];
  /** Ids of blocks that have an error of their own: what refers to them need not be reported as well. */
  readonly broken: ReadonlySet<string>;
}

const KINDS: ReadonlyMap<string, PlannedKind> = new Map<string, PlannedKind>([
  ["declare", "declare"],
  ["argument", "argument"],
  ["export", "export"],
  ["foreach", "foreach"],
  ["import.file", "import"],
  ["import.string", "import"],
]);

const ALLOWED: Readonly<Record<ModuleKind, ReadonlySet<PlannedKind>>> = {
  root: new Set(["component", "custom", "declare", "import", "foreach", "config"]),
  declare: new Set(["component", "custom", "declare", "import", "argument", "export", "foreach"]),
  import: new Set(["declare", "import"]),
  template: new Set(["component", "custom", "declare", "import", "foreach"]),
};

export interface PlanOptions {
  readonly kind: ModuleKind;
  readonly environment: Environment;
  readonly declarations: Declarations;
  /** Whether a name is known from outside the body: variables, and in templates the blocks of the module around. */
  knowsName(name: string): boolean;
}

/** Checks a module's blocks against each other: kinds, labels, duplicates, references, cycles. Loads the definitions they need. */
export async function planModule(body: Body, options: PlanOptions): Promise<Plan> {
  const diagnostics: Diagnostic[] = [];
  const broken = new Set<string>();
  const found = new Map<string, { kind: PlannedKind; block: BlockStatement; definition?: ComponentDefinition }>();
  const blocks = body.filter((statement) => isBlock(statement, diagnostics));
  for (const block of blocks) if (blockName(block) === "declare") options.declarations.add(block);
  for (const block of blocks) {
    if (blockName(block).startsWith("import.") && block.label)
      options.declarations.imports.set(block.label.text, undefined);
  }
  for (const block of blocks) {
    const classified = await classify(block, options, diagnostics);
    const id = nodeId(block);
    if (classified === undefined) {
      if (block.label !== undefined) broken.add(id);
      continue;
    }
    const first = found.get(id);
    if (first !== undefined) diagnostics.push(duplicate(id, block, first.block));
    else found.set(id, classified);
  }
  const ids = new Set([...found.keys(), ...broken]);
  const planned = new Map<string, PlannedBlock>();
  for (const [id, { kind, block, definition }] of found) {
    const dependencies = dependenciesOf(block, kind, ids, options, diagnostics);
    planned.set(id, { id, kind, block, definition, dependencies });
  }
  const { order, cycles } = orderNodes(new Map([...planned].map(([id, each]) => [id, each.dependencies])));
  for (const cycle of cycles) {
    diagnostics.push(cycleDiagnostic(cycle, planned));
    for (const id of cycle) broken.add(id);
  }
  return { blocks: order.map((id) => planned.get(id)!), diagnostics, broken };
}

function isBlock(statement: Statement, diagnostics: Diagnostic[]): statement is BlockStatement {
  if (statement.kind === "block") return true;
  diagnostics.push({
    severity: "error",
    code: "config.attribute_at_top",
    message: `unrecognized attribute "${statement.name.name}"`,
    span: statement.name.span,
    why: "only blocks may stand here; attributes belong inside a block",
    hint: "put it into the block that it configures",
  });
  return false;
}

async function classify(block: BlockStatement, options: PlanOptions, diagnostics: Diagnostic[]) {
  const { environment, declarations } = options;
  const name = blockName(block);
  const span = nameSpan(block);
  const report = (code: string, message: string, more: Partial<Diagnostic> = {}) => {
    diagnostics.push({ severity: "error", code, message, span, ...more });
    return undefined;
  };
  const unsupported = UNSUPPORTED_BLOCKS.get(name);
  if (unsupported !== undefined) {
    return report("config.unsupported", `the ${name} block is not supported yet`, { why: unsupported });
  }
  const config = CONFIG_BLOCKS.get(name);
  let kind = KINDS.get(name) ?? (config === undefined ? undefined : "config");
  let definition: ComponentDefinition | undefined;
  if (kind === undefined) {
    if (declarations.find(name) !== undefined || declarations.isImported(name)) kind = "custom";
    else if (environment.registry.names.includes(name)) {
      kind = "component";
      definition = await environment.registry.load(name);
    } else return unknownComponent(name, span, options, diagnostics);
  }
  if (!ALLOWED[options.kind].has(kind)) {
    return report("config.block_not_allowed", `${name} block not allowed ${PLACE[options.kind]}`, {
      hint: `allowed here: ${[...ALLOWED[options.kind]].join(", ")}`,
    });
  }
  const labelled = kind !== "config";
  if (labelled && block.label === undefined) {
    return report("config.missing_label", `block "${name}" must have a label`, {
      why: "others refer to it by its label",
      hint: `write ${name} "default" { … }`,
    });
  }
  if (!labelled && block.label !== undefined) {
    return report("config.unexpected_label", `block "${name}" does not support specifying a label`, {
      hint: "there is just one; leave the label out",
    });
  }
  if (kind === "declare" && environment.registry.names.includes(block.label!.text)) {
    return report("config.shadowed_component", `declare "${block.label!.text}" has the name of a built-in component`, {
      hint: "choose another name",
    });
  }
  const stability = definition?.stability ?? (name === "foreach" ? "experimental" : "generally-available");
  const problem = gate(name, stability, definition?.community ?? false, environment);
  if (problem !== undefined) return report(problem.code, problem.message, problem);
  return definition === undefined ? { kind, block } : { kind, block, definition };
}

const PLACE: Readonly<Record<ModuleKind, string>> = {
  root: "at the top of a configuration",
  declare: "inside a declare block",
  import: "in an imported module",
  template: "inside a template block",
};

const LEVELS = ["experimental", "public-preview", "generally-available"] as const;

/** Whether the user allowed things of this stability, and community components if it is one. */
function gate(name: string, stability: (typeof LEVELS)[number], community: boolean, environment: Environment) {
  const { minimumStability } = environment.services;
  if (community && !environment.communityComponents) {
    return {
      code: "config.community",
      message: `the component "${name}" is a community component`,
      why: "community components are maintained by the community and off by default",
      hint: "use the --feature.community-components.enabled command-line flag to enable community components",
    };
  }
  if (!community && LEVELS.indexOf(stability) < LEVELS.indexOf(minimumStability)) {
    return {
      code: "config.stability",
      message: `component "${name}" is at stability level "${stability}", which is below the minimum allowed stability level "${minimumStability}"`,
      why: "less stable features are off by default",
      hint: `use --stability.level=${stability} command-line flag to enable "${stability}" features`,
    };
  }
  return undefined;
}

function unknownComponent(name: string, span: Span, options: PlanOptions, diagnostics: Diagnostic[]): undefined {
  const { environment, declarations } = options;
  if (environment.registry.missing.has(name)) {
    diagnostics.push({
      severity: "error",
      code: "config.unsupported_component",
      message: `the component "${name}" is not supported yet`,
      span,
      why: "Alloy has this component, Invar does not have it yet",
      hint: "remove the block, or keep Alloy for this pipeline; docs/reference lists what there is",
    });
    return undefined;
  }
  const removed = environment.registry.removed.get(name);
  if (removed !== undefined) {
    const message = `the component "${name}" was removed`;
    diagnostics.push({ severity: "error", code: "config.removed_component", message, span, ...removed });
    return undefined;
  }
  const suggestion = nearest(name, [
    ...environment.registry.names,
    ...declarations.names(),
    ...KINDS.keys(),
    ...CONFIG_BLOCKS.keys(),
  ]);
  diagnostics.push({
    severity: "error",
    code: "config.unknown_component",
    message: `cannot find the definition of component name "${name}"`,
    span,
    why: "no built-in component, no declare block and no import has this name",
    ...(suggestion === undefined ? {} : { hint: `did you mean "${suggestion}"?` }),
  });
  return undefined;
}

function duplicate(id: string, block: BlockStatement, first: BlockStatement): Diagnostic {
  return {
    severity: "error",
    code: "config.duplicate_block",
    message: `block ${id} already declared`,
    span: nameSpan(block),
    why: "two blocks of one kind cannot have the same label",
    hint: "give one of them another label",
    related: [{ message: "first declared here", span: nameSpan(first) }],
  };
}

/** Blocks whose body is a module of its own look up their names there, not here. */
function dependenciesOf(
  block: BlockStatement,
  kind: PlannedKind,
  ids: ReadonlySet<string>,
  options: PlanOptions,
  diagnostics: Diagnostic[],
): ReadonlySet<string> {
  const dependencies = new Set<string>();
  if (kind === "declare") return dependencies;
  if (kind === "custom") {
    const namespace = block.name[0]!.name;
    for (const id of ids) if (id.startsWith("import.") && id.endsWith(`.${namespace}`)) dependencies.add(id);
  }
  for (const reference of referencesOf(block.body)) {
    const target = resolve(reference, ids);
    if (target !== undefined) dependencies.add(target);
    else if (!options.knowsName(reference.path[0]!) && kind !== "foreach") {
      diagnostics.push(unresolved(reference, ids));
    }
  }
  return dependencies;
}

/** The block that a reference begins with: the longest id that is a prefix of its path. */
function resolve(reference: Reference, ids: ReadonlySet<string>): string | undefined {
  for (let length = reference.path.length; length > 0; length--) {
    const id = reference.path.slice(0, length).join(".");
    if (ids.has(id)) return id;
  }
  return undefined;
}

function unresolved(reference: Reference, ids: ReadonlySet<string>): Diagnostic {
  const name = reference.path.join(".");
  const suggestion = nearest(
    name,
    [...ids].map((id) => [id, ...reference.path.slice(id.split(".").length)].join(".")),
  );
  return {
    severity: "error",
    code: "config.unknown_reference",
    message: `component "${name}" does not exist or is out of scope`,
    span: reference.span,
    why: "no block with this name stands in the same module",
    ...(suggestion === undefined ? {} : { hint: `did you mean ${suggestion}?` }),
  };
}

function cycleDiagnostic(cycle: readonly string[], planned: ReadonlyMap<string, PlannedBlock>): Diagnostic {
  const first = planned.get(cycle[0]!)!;
  const message = cycle.length === 2 ? `${cycle[0]} refers to itself` : `cycle: ${cycle.join(" → ")}`;
  return {
    severity: "error",
    code: "config.cycle",
    message,
    span: nameSpan(first.block),
    why: "each block is evaluated after those that it refers to",
    hint: "break the circle at one of these references",
    related: cycle.slice(1, -1).map((id) => ({ message: `through ${id}`, span: nameSpan(planned.get(id)!.block) })),
  };
}

/** The block's name and label, without its body. */
export function nameSpan(block: BlockStatement): Span {
  return { ...block.span, end: block.label?.span.end ?? block.name.at(-1)!.span.end };
}
