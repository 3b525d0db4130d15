import type { BlockStatement } from "#lang/ast";

/** A custom component: the `declare` block and the place where it was written, in which its own names are looked up. */
export interface Declaration {
  readonly block: BlockStatement;
  readonly where: Declarations;
}

/** The custom components that a module can name: its own, those of its imports, and those of the modules around it. */
export class Declarations {
  readonly parent: Declarations | undefined;
  /** The folder of the file, for `module_path`. */
  readonly modulePath: string;
  readonly own = new Map<string, Declaration>();
  /** By namespace; undefined as long as the import has not been evaluated. */
  readonly imports = new Map<string, Declarations | undefined>();

  constructor(modulePath: string, parent?: Declarations) {
    this.modulePath = modulePath;
    this.parent = parent;
  }

  add(block: BlockStatement): void {
    if (block.label !== undefined) this.own.set(block.label.text, { block, where: this });
  }

  /** The declaration that a block's name means, if any. */
  find(name: string): Declaration | undefined {
    const [namespace, member, ...rest] = name.split(".");
    if (rest.length > 0) return undefined;
    if (member === undefined) return this.own.get(name) ?? this.parent?.find(name);
    if (this.imports.has(namespace!)) return this.imports.get(namespace!)?.own.get(member);
    return this.parent?.find(name);
  }

  /** Whether the name belongs to an import, whose content may not be known yet. */
  isImported(name: string): boolean {
    const [namespace, member] = name.split(".");
    if (member === undefined) return false;
    return this.imports.has(namespace!) || (this.parent?.isImported(name) ?? false);
  }

  /** All names, for suggestions. */
  *names(): Iterable<string> {
    yield* this.own.keys();
    for (const [namespace, imported] of this.imports) {
      for (const name of imported?.own.keys() ?? []) yield `${namespace}.${name}`;
    }
    if (this.parent !== undefined) yield* this.parent.names();
  }
}
