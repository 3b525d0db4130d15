import { readdirSync, readFileSync, statSync, watch } from "node:fs";
import { dirname, join } from "node:path";
import { errorText } from "#base/log";
import { type BlockStatement, type Body, blockName } from "#lang/ast";
import { decodeBody } from "#lang/decode";
import { type Diagnostic, DiagnosticError } from "#lang/diagnostic";
import type { Scope } from "#lang/evaluate";
import { parseFile } from "#lang/parser";
import { decodeSource } from "#lang/position";
import { Secret } from "#lang/value";
import { type ImportFileArguments, importFileSchema } from "./blocks/import-file.ts";
import { importStringSchema } from "./blocks/import-string.ts";
import type { Declarations } from "./declarations.ts";
import type { Environment } from "./environment.ts";
import { type Health, worstHealth } from "./health.ts";
import { Module, REPLACE_DEADLINE_MS } from "./module.ts";
import { type Change, type GraphNode, nodeId } from "./node.ts";
import { nameSpan } from "./plan.ts";

/** Several events of one save are one change. */
const SETTLE_MS = 50;

interface Text {
  readonly name: string;
  readonly text: string;
}

/** `import.file` and `import.string`: makes the `declare` blocks of other text known under a namespace. */
export class ImportNode implements GraphNode {
  readonly localId: string;
  readonly exports = undefined;
  readonly module: Module;
  readonly #environment: Environment;
  readonly #onChange: () => void;
  #declarations: Declarations | undefined;
  #nextDeclarations: Declarations | undefined;
  #texts: readonly Text[] = [];
  #modulePath = "";
  #block: BlockStatement;
  #health: Health;
  #unwatch: (() => void) | undefined;
  #watched: ImportFileArguments | undefined;

  constructor(block: BlockStatement, environment: Environment, onChange: () => void) {
    this.#block = block;
    this.localId = nodeId(block);
    this.#environment = environment;
    this.#onChange = onChange;
    this.module = new Module("import", environment.child(this.localId));
    this.#health = this.#state("unknown", "import created");
  }

  get health(): Health {
    return worstHealth([this.#health, ...this.module.nodes.map((node) => node.health)]);
  }

  /** Where the next `prepare` makes the imported names known, and all later ones if its change is carried out. */
  use(declarations: Declarations): void {
    this.#nextDeclarations = declarations;
  }

  async prepare(block: BlockStatement, scope: Scope): Promise<Change> {
    const { minimumStability } = this.#environment.services;
    const options = { name: blockName(block), block, minimumStability };
    const target = this.#nextDeclarations ?? this.#declarations!;
    this.#nextDeclarations = undefined;
    try {
      if (blockName(block) === "import.string") {
        const { content } = argumentsOf(decodeBody(importStringSchema, block.body, scope, options));
        const text = content instanceof Secret ? content.reveal() : content;
        return await this.#prepareTexts(block, [{ name: this.localId, text }], target.modulePath, undefined, target);
      }
      const args = argumentsOf(decodeBody(importFileSchema, block.body, scope, options));
      const { texts, folder } = readTexts(args.filename, block);
      return await this.#prepareTexts(block, texts, folder, args, target);
    } catch (error) {
      this.#health = this.#state("unhealthy", `import failed: ${errorText(error)}`);
      throw error;
    }
  }

  async #prepareTexts(
    block: BlockStatement,
    texts: readonly Text[],
    modulePath: string,
    file: ImportFileArguments | undefined,
    target: Declarations,
  ): Promise<Change> {
    const same =
      sameTexts(texts, this.#texts) && modulePath === this.#modulePath && this.module.declarations !== undefined;
    const change = await this.module.prepare({
      body: parseTexts(texts),
      declarations: undefined,
      modulePath,
      arguments: new Map(),
      parentScope: undefined,
      variables: new Map(),
    });
    const namespace = block.label!.text;
    const declarations = change.declarations;
    const before = target.imports.get(namespace);
    // Custom components of the same load look their names up right after this.
    target.imports.set(namespace, declarations);
    return {
      effect: same && change.effect === "unchanged" ? "unchanged" : "updated",
      exports: undefined,
      update: () => change.update(),
      undo: () => change.undo(),
      discard: async () => {
        target.imports.set(namespace, before);
        await change.discard();
      },
      replace: async (deadline) => {
        await change.replace(deadline);
        this.#declarations = target;
        this.#block = block;
        this.#texts = texts;
        this.#modulePath = modulePath;
        this.#health = this.#state("healthy", "module content loaded");
        this.#watch(file);
      },
    };
  }

  /** Looks after the file or folder, and evaluates the import again when its text has changed. */
  #watch(file: ImportFileArguments | undefined): void {
    const same =
      file?.filename === this.#watched?.filename &&
      file?.detector === this.#watched?.detector &&
      file?.poll_frequency === this.#watched?.poll_frequency;
    if (same) return;
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#watched = file;
    if (file === undefined) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const check = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void this.#environment.serialize(() => this.#reload(file));
      }, SETTLE_MS);
    };
    // Polling goes on beside notifications, which network file systems do not send.
    const poll = setInterval(check, file.poll_frequency);
    poll.unref();
    const folder = isFolder(file.filename) ? file.filename : dirname(file.filename);
    const watcher = file.detector === "fsnotify" ? watch(folder, check) : undefined;
    watcher?.on("error", (error) => this.#environment.log.warn("cannot watch an import", { folder, error }));
    watcher?.unref();
    this.#unwatch = () => {
      clearInterval(poll);
      if (timer !== undefined) clearTimeout(timer);
      watcher?.close();
    };
  }

  async #reload(file: ImportFileArguments): Promise<void> {
    try {
      const { texts, folder } = readTexts(file.filename, this.#block);
      if (sameTexts(texts, this.#texts)) return;
      const change = await this.#prepareTexts(this.#block, texts, folder, file, this.#declarations!);
      await change.update();
      await change.replace(AbortSignal.timeout(REPLACE_DEADLINE_MS));
      this.#environment.log.info("imported file changed", { import: this.localId, filename: file.filename });
      this.#onChange();
    } catch (error) {
      // The components made from the old text go on.
      this.#health = this.#state("unhealthy", `reading the changed import: ${errorText(error)}`);
      this.#environment.log.error("failed to load a changed import", { import: this.localId, error });
    }
  }

  async stop(deadline: AbortSignal): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#watched = undefined;
    await this.module.stop(deadline);
  }
  dispose(): Promise<void> {
    return this.module.dispose();
  }

  #state(state: Health["state"], message: string): Health {
    return { state, message, updated: this.#environment.clock.now() };
  }
}

function argumentsOf<A>(decoded: { value?: A | undefined; diagnostics: readonly Diagnostic[] }): A {
  if (decoded.value === undefined) {
    throw new DiagnosticError(decoded.diagnostics.filter((each) => each.severity === "error"));
  }
  return decoded.value;
}

/** The text of a file, or of all `*.alloy` files of a folder in the order of their names, which together are one module. */
function readTexts(path: string, block: BlockStatement): { texts: Text[]; folder: string } {
  try {
    if (!isFolder(path)) return { texts: [decodeSource(path, readFileSync(path))], folder: dirname(path) };
    const names = readdirSync(path).filter((name) => name.endsWith(".alloy"));
    const texts = names.sort().map((name) => decodeSource(join(path, name), readFileSync(join(path, name))));
    return { texts, folder: path };
  } catch (error) {
    throw new DiagnosticError([
      {
        severity: "error",
        code: "import.unreadable",
        message: `failed to read module: ${errorText(error)}`,
        span: nameSpan(block),
        hint: "check the path (relative paths start at the agent's working directory) and its permissions",
      },
    ]);
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function parseTexts(texts: readonly Text[]): Body {
  const parsed = texts.map((source) => parseFile(source));
  const problems = parsed.flatMap(({ diagnostics }) => diagnostics).filter((each) => each.severity === "error");
  if (problems.length > 0) throw new DiagnosticError(problems);
  return parsed.flatMap(({ file }) => file.body);
}

function sameTexts(a: readonly Text[], b: readonly Text[]): boolean {
  return a.length === b.length && a.every((each, i) => each.text === b[i]!.text && each.name === b[i]!.name);
}
