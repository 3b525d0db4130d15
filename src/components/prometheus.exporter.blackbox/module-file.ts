import type { WatchedFiles } from "#kits/http/client-files";
import type { Judgement } from "#pipeline/flow";
import { type Module, PROBERS, parseModules } from "./modules.ts";

/** Modules from an argument, or from a file that is read again when it changes; a bad change leaves the last modules in use. */
export class ModuleFile {
  readonly #path: string;
  readonly #files: WatchedFiles;
  #content: Buffer | undefined;
  #modules: ReadonlyMap<string, Module> | undefined;
  #problem: string | undefined;

  /** `text` is used if `path` is empty; it has been parsed before. */
  constructor(path: string, text: string, files: WatchedFiles) {
    this.#path = path;
    this.#files = files;
    if (path === "") this.#modules = parseModules(text);
  }

  /** What the file says now. Rejects with an Error if it never could be used. */
  async current(): Promise<ReadonlyMap<string, Module>> {
    if (this.#path !== "") await this.#read();
    if (this.#modules === undefined) throw new Error(this.#problem);
    return this.#modules;
  }

  async #read(): Promise<void> {
    try {
      const content = await this.#files.read(this.#path, "config_file");
      if (content === this.#content) return;
      this.#content = content;
      this.#modules = parseModules(content.toString("utf8"));
      this.#problem = undefined;
    } catch (error) {
      const { message } = error as Error;
      this.#problem = message.startsWith("cannot read") ? message : `config_file ${this.#path}: ${message}`;
    }
  }

  /** The rule `module_file`. */
  judge(): Judgement {
    if (this.#problem !== undefined) {
      if (this.#modules === undefined) return { state: "failing", cause: this.#problem };
      return { state: "degraded", cause: `${this.#problem}; the modules of before are in use` };
    }
    const odd = [...(this.#modules?.values() ?? [])].filter(({ prober }) => !isProber(prober));
    if (odd.length === 0) return undefined;
    const list = odd.map(({ name, prober }) => `${name} (${prober || "none"})`).join(", ");
    return {
      state: "degraded",
      cause: `modules with a prober that does not exist: ${list}; use ${PROBERS.join(", ")}`,
    };
  }
}

export function isProber(name: string): name is (typeof PROBERS)[number] {
  return (PROBERS as readonly string[]).includes(name);
}
