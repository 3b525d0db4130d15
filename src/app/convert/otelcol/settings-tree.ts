import { Section } from "../settings.ts";

/** A section with those inside it, each there once, so that in the end all that nobody took can be named. */
export class SettingsTree {
  readonly section: Section;
  readonly #children = new Map<string, SettingsTree | undefined>();
  readonly #lists = new Map<string, readonly SettingsTree[]>();

  constructor(section: Section) {
    this.section = section;
  }

  /** A section in it, empty for `name:` alone; undefined when it is missing. */
  child(name: string): SettingsTree | undefined {
    if (!this.#children.has(name)) {
      const section = this.section.sectionOrEmpty(name);
      this.#children.set(name, section && new SettingsTree(section));
    }
    return this.#children.get(name);
  }

  /** What is not in the source, as if it were there without settings. */
  emptyChild(name: string): SettingsTree {
    const section = new Section({ kind: "map", fields: new Map(), line: undefined }, name, this.section.report);
    return new SettingsTree(section);
  }

  /** The sections of a list. */
  children(name: string): readonly SettingsTree[] {
    const known = this.#lists.get(name);
    if (known !== undefined) return known;
    const trees = this.section.sections(name).map((each) => new SettingsTree(each));
    this.#lists.set(name, trees);
    return trees;
  }

  /** The tree and name at a path such as `protocols::grpc`; undefined where something on the way is missing. */
  find(path: string): { readonly tree: SettingsTree; readonly name: string } | undefined {
    const names = path.split("::");
    const name = names.pop()!;
    let tree: SettingsTree | undefined = this;
    for (const each of names) {
      tree = tree.child(each);
      if (tree === undefined) return undefined;
    }
    return { tree, name };
  }

  /** Names what nobody took here and further in. */
  rest(): void {
    this.section.rest();
    for (const child of this.#children.values()) child?.rest();
    for (const list of this.#lists.values()) for (const each of list) each.rest();
  }
}
