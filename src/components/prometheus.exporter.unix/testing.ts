import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Clock, systemClock } from "#base/clock";
import { createLogger, type LogRecord } from "#base/log";
import { writeExposition } from "#formats/exposition/writer";
import { Page } from "#kits/exporter/page";
import { decodeArguments } from "#pipeline/testing";
import { unixArguments } from "./arguments.ts";
import type { CollectorDefinition, CollectorOptions } from "./collector.ts";
import { HostFiles } from "./files.ts";

/** Files by path, under `proc/`, `sys/`, `root/` or `udev/`; a value of `-> TARGET` makes a symbolic link. */
export type Tree = Readonly<Record<string, string>>;

export class FixtureHost implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "invar-unix-"));
  readonly logs: LogRecord[] = [];

  constructor(tree: Tree) {
    for (const [path, content] of Object.entries(tree)) this.write(path, content);
  }

  write(path: string, content: string, encoding: BufferEncoding = "utf8"): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    if (content.startsWith("-> ")) symlinkSync(content.slice(3), full);
    else writeFileSync(full, content, encoding);
  }

  options(config = "", clock: Clock = systemClock): CollectorOptions {
    const paths = `
      procfs_path    = "${this.root}/proc"
      sysfs_path     = "${this.root}/sys"
      rootfs_path    = "${this.root}/root"
      udev_data_path = "${this.root}/udev"
      ${config}`;
    const args = decodeArguments({ name: "prometheus.exporter.unix", args: unixArguments }, paths);
    const log = createLogger({ enabled: () => true, write: (record) => void this.logs.push(record) });
    return { args, files: new HostFiles(args), log, clock, isEnabled: () => true };
  }

  /** Sample lines of one run of a collector, sorted. Rejects with what the collector throws. */
  async collect(definition: CollectorDefinition, config = ""): Promise<string[]> {
    const page = new Page();
    await definition.create(this.options(config)).collect(page);
    return sampleLines(page).map((line) => line.replaceAll(this.root, ""));
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}

export function sampleLines(page: Page): string[] {
  return writeExposition(page.families())
    .toString()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .sort();
}
