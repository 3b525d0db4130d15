import { errorText } from "#base/log";
import { type BlockStatement, blockName } from "#lang/ast";
import { type Diagnostic, DiagnosticError } from "#lang/diagnostic";
import { evaluateExpression, references, type Scope } from "#lang/evaluate";
import { standardNameDiagnostic } from "#lang/stdlib";
import { nearest } from "#lang/suggest";
import type { Value } from "#lang/value";
import type { Stability } from "#pipeline/component";
import type { Declaration, Declarations } from "./declarations.ts";
import type { Environment } from "./environment.ts";
import { type Health, worstHealth } from "./health.ts";
import { Module, type ModuleChange } from "./module.ts";
import { type Change, type GraphNode, nodeId } from "./node.ts";
import { nameSpan } from "./plan.ts";

/** A custom component: a use of a `declare` block, which runs as a module of its own. */
export class CustomNode implements GraphNode {
  readonly localId: string;
  readonly module: Module;
  readonly #environment: Environment;
  #declarations: Declarations | undefined;
  #nextDeclarations: Declarations | undefined;
  #exports: Value | undefined;
  #health: Health;

  constructor(block: BlockStatement, environment: Environment, onExports: () => void) {
    this.localId = nodeId(block);
    this.#environment = environment;
    this.#health = this.#state("unknown", "custom component created");
    this.module = new Module("declare", environment.child(this.localId), () => {
      this.#exports = this.module.exports;
      onExports();
    });
  }

  get exports(): Value | undefined {
    return this.#exports;
  }
  get health(): Health {
    return worstHealth([this.#health, ...this.module.nodes.map((node) => node.health)]);
  }

  /** Where the next `prepare` looks the block's name up, and all later ones if its change is carried out. */
  use(declarations: Declarations): void {
    this.#nextDeclarations = declarations;
  }

  async prepare(block: BlockStatement, scope: Scope): Promise<Change> {
    const declarations = this.#nextDeclarations ?? this.#declarations!;
    this.#nextDeclarations = undefined;
    try {
      const declaration = findDeclaration(block, declarations);
      const change = await this.module.prepare({
        body: declaration.block.body,
        declarations: declaration.where,
        modulePath: declaration.where.modulePath,
        arguments: evaluateArguments(block, declaration, scope, this.#environment.services.minimumStability),
        parentScope: undefined,
        variables: new Map(),
      });
      return this.#wrap(change, declarations);
    } catch (error) {
      this.#health = this.#state("unhealthy", `custom component evaluation failed: ${errorText(error)}`);
      throw error;
    }
  }

  async stop(deadline: AbortSignal): Promise<void> {
    await this.module.stop(deadline);
    this.#health = this.#state("exited", "custom component shut down");
  }
  dispose(): Promise<void> {
    return this.module.dispose();
  }

  #wrap(change: ModuleChange, declarations: Declarations): Change & Pick<ModuleChange, "report"> {
    return {
      effect: change.effect,
      exports: change.effect === "unchanged" ? this.#exports : change.exports,
      update: () => change.update(),
      undo: () => change.undo(),
      discard: () => change.discard(),
      report: (into) => change.report(into),
      replace: async (deadline) => {
        this.#declarations = declarations;
        await change.replace(deadline);
        if (change.effect !== "unchanged") this.#exports = change.exports;
        this.#health = this.#state("healthy", "custom component evaluated");
      },
    };
  }

  #state(state: Health["state"], message: string): Health {
    return { state, message, updated: this.#environment.clock.now() };
  }
}

function findDeclaration(block: BlockStatement, declarations: Declarations): Declaration {
  const name = blockName(block);
  const declaration = declarations.find(name);
  if (declaration !== undefined) return declaration;
  const suggestion = nearest(name, [...declarations.names()]);
  throw new DiagnosticError([
    {
      severity: "error",
      code: "config.unknown_component",
      message: `cannot find the definition of component name "${name}"`,
      span: nameSpan(block),
      why: `the import "${block.name[0]!.name}" declares no such component`,
      ...(suggestion === undefined ? {} : { hint: `did you mean "${suggestion}"?` }),
    },
  ]);
}

/** The values that the block gives to the declaration's arguments. Reports unknown, repeated and missing ones together. */
function evaluateArguments(
  block: BlockStatement,
  declaration: Declaration,
  scope: Scope,
  minimumStability: Stability,
): ReadonlyMap<string, Value> {
  const problems: Diagnostic[] = [];
  const problem = (code: string, message: string, span: Diagnostic["span"], hint?: string) =>
    problems.push({ severity: "error", code, message, ...(span && { span }), ...(hint === undefined ? {} : { hint }) });
  const declared = new Map<string, { optional: boolean }>();
  for (const statement of declaration.block.body) {
    if (statement.kind !== "block" || blockName(statement) !== "argument" || statement.label === undefined) continue;
    declared.set(statement.label.text, { optional: isOptional(statement, scope) });
  }
  const given = new Map<string, Value>();
  for (const statement of block.body) {
    if (statement.kind === "block") {
      problem(
        "config.unknown_block",
        `unrecognized block name "${blockName(statement)}"`,
        nameSpan(statement),
        "custom components take attributes only",
      );
      continue;
    }
    const { name } = statement.name;
    if (!declared.has(name)) {
      const suggestion = nearest(name, [...declared.keys()]);
      const hint = suggestion === undefined ? undefined : `did you mean "${suggestion}"?`;
      problem("config.unknown_argument", `unrecognized attribute name "${name}"`, statement.name.span, hint);
    } else if (given.has(name)) {
      problem("config.duplicate_argument", `attribute "${name}" may only be provided once`, statement.name.span);
    } else {
      for (const reference of references(statement.value)) {
        const diagnostic = standardNameDiagnostic(reference, scope, minimumStability);
        if (diagnostic?.severity === "error") problems.push(diagnostic);
      }
      try {
        given.set(name, evaluateExpression(statement.value, scope));
      } catch (error) {
        if (!(error instanceof DiagnosticError)) throw error;
        problems.push(...error.diagnostics);
      }
    }
  }
  for (const [name, { optional }] of declared) {
    if (!optional && !block.body.some((each) => each.kind === "attribute" && each.name.name === name)) {
      problem("config.missing_argument", `missing required attribute "${name}"`, nameSpan(block), `add ${name} = …`);
    }
  }
  if (problems.length > 0) throw new DiagnosticError(problems);
  return given;
}

function isOptional(argument: BlockStatement, scope: Scope): boolean {
  for (const statement of argument.body) {
    if (statement.kind === "attribute" && statement.name.name === "optional") {
      return evaluateExpression(statement.value, scope) === true;
    }
  }
  return false;
}
