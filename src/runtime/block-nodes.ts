import { type BlockStatement, blockName } from "#lang/ast";
import { decodeBody, sameValue } from "#lang/decode";
import { DiagnosticError } from "#lang/diagnostic";
import type { Scope } from "#lang/evaluate";
import type { BodySchema } from "#lang/schema";
import type { Value } from "#lang/value";
import { argumentSchema } from "./blocks/argument.ts";
import { CONFIG_BLOCKS } from "./blocks/blocks.ts";
import { exportSchema } from "./blocks/export.ts";
import type { Environment } from "./environment.ts";
import type { Health } from "./health.ts";
import { type Change, type GraphNode, NO_CHANGE, nodeId } from "./node.ts";

/** What the nodes of configuration blocks have in common: an id, a health, nothing that runs. */
abstract class BlockNode implements GraphNode {
  readonly localId: string;
  readonly label: string;
  protected readonly environment: Environment;
  protected current: Value | undefined;
  #health: Health;

  constructor(block: BlockStatement, environment: Environment) {
    this.localId = nodeId(block);
    this.label = block.label?.text ?? "";
    this.environment = environment;
    this.#health = { state: "unknown", message: "not evaluated yet", updated: environment.clock.now() };
  }

  get exports(): Value | undefined {
    return this.current;
  }
  get health(): Health {
    return this.#health;
  }

  abstract prepare(block: BlockStatement, scope: Scope): Promise<Change>;
  async stop(): Promise<void> {}
  async dispose(): Promise<void> {}

  /** The block's arguments, or a rejection that also shows in the health. */
  protected decode<A>(schema: BodySchema<A>, block: BlockStatement, scope: Scope): A {
    const { minimumStability } = this.environment.services;
    const decoded = decodeBody(schema, block.body, scope, { name: blockName(block), block, minimumStability });
    if (decoded.value === undefined) {
      const errors = decoded.diagnostics.filter((each) => each.severity === "error");
      this.setHealth("unhealthy", errors[0]?.message ?? "evaluation failed");
      throw new DiagnosticError(errors);
    }
    for (const { severity, message } of decoded.diagnostics) {
      if (severity === "warning") this.environment.log.warn(message, { node: this.localId });
    }
    return decoded.value;
  }

  protected setHealth(state: Health["state"], message: string): void {
    this.#health = { state, message, updated: this.environment.clock.now() };
  }

  /** A change that makes `next` the value that dependants see. */
  protected exportChange(next: Value): Change {
    const same = this.current !== undefined && sameValue(this.current, next);
    const exports = same ? this.current : next;
    return {
      ...NO_CHANGE,
      effect: same ? "unchanged" : "updated",
      exports,
      replace: async () => {
        this.current = exports;
        this.setHealth("healthy", "evaluated");
      },
    };
  }
}

/** `argument "name" { … }`: shows `value` to its module, given by whoever uses the custom component. */
export class ArgumentNode extends BlockNode {
  #given: ReadonlyMap<string, Value> = new Map();
  #nextGiven: ReadonlyMap<string, Value> | undefined;

  /** The values for the next `prepare`, and for all later ones if its change is carried out. */
  use(given: ReadonlyMap<string, Value>): void {
    this.#nextGiven = given;
  }

  async prepare(block: BlockStatement, scope: Scope): Promise<Change> {
    const given = this.#nextGiven ?? this.#given;
    this.#nextGiven = undefined;
    const args = this.decode(argumentSchema, block, scope);
    const value = given.get(this.label);
    const change = this.exportChange(new Map([["value", value === undefined ? args.default : value]]));
    return {
      ...change,
      replace: async (deadline) => {
        this.#given = given;
        await change.replace(deadline);
      },
    };
  }
}

/** `export "name" { value = … }`: shows a value to the user of the custom component. */
export class ExportNode extends BlockNode {
  async prepare(block: BlockStatement, scope: Scope): Promise<Change> {
    return this.exportChange(this.decode(exportSchema, block, scope).value);
  }
}

/** `declare "name" { … }`: known to the plan; evaluated only where it is used. */
export class DeclareNode extends BlockNode {
  async prepare(): Promise<Change> {
    return { ...NO_CHANGE, exports: undefined, replace: async () => this.setHealth("healthy", "declared") };
  }
}

/** `logging`, `tracing`, `http`, `livedebugging`: handed to the part of the agent that they configure. */
export class ConfigNode extends BlockNode {
  #applied: unknown;

  /** The arguments in force, as decoded. */
  get args(): unknown {
    return this.#applied;
  }

  async prepare(block: BlockStatement, scope: Scope): Promise<Change> {
    const name = blockName(block);
    const args = this.decode(CONFIG_BLOCKS.get(name)! as BodySchema<unknown>, block, scope);
    const handler = this.environment.blocks.get(name);
    const previous = this.#applied;
    return {
      ...NO_CHANGE,
      effect: previous === undefined ? "added" : "updated",
      exports: undefined,
      update: async () => {
        handler?.apply(args);
        this.#applied = args;
      },
      undo: async () => {
        handler?.apply(previous);
        this.#applied = previous;
      },
      replace: async () => this.setHealth("healthy", "applied"),
    };
  }

  override async dispose(): Promise<void> {
    this.environment.blocks.get(this.localId)?.apply(undefined);
  }
}
