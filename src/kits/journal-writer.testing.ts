import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** From Debian's package of the same name; not in the PATH. */
const JOURNAL_REMOTE = "/lib/systemd/systemd-journal-remote";

const BOOT = "4bd3a1d8c6a44a2bb0f0c7a1c1b0d0aa";

export interface WrittenEntry {
  readonly message?: string | Uint8Array;
  readonly fields?: Readonly<Record<string, string | Uint8Array>>;
  /** Microseconds since 1970; now unless given. */
  readonly micros?: number;
  readonly boot?: string;
}

/** Writes a real journal file, by systemd's own program, which reads the export format. */
export class JournalWriter {
  readonly #child: ChildProcess;
  readonly #folder: string;
  #monotonic = 1_000_000;
  #last = 0;
  written = 0;

  constructor(folder: string, name = "test.journal") {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    this.#child = spawn(JOURNAL_REMOTE, ["-o", join(folder, name), "-"], { stdio: ["pipe", "ignore", "ignore"] });
  }

  async write(...entries: readonly WrittenEntry[]): Promise<void> {
    const bytes = Buffer.concat(entries.map((each) => this.#encode(each)));
    this.written += entries.length;
    const { stdin } = this.#child;
    if (!stdin!.write(bytes)) await once(stdin!, "drain");
  }

  /** Resolves when a reader can see everything that was written. */
  async settled(): Promise<void> {
    for (const end = performance.now() + 15_000; performance.now() < end; ) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const words = [`--directory=${this.#folder}`, "--quiet", "--output=export"];
      try {
        const shown = execFileSync("journalctl", words, { encoding: "latin1", stdio: ["ignore", "pipe", "ignore"] });
        if ((shown.match(/^__CURSOR=/gm)?.length ?? 0) >= this.written) return;
      } catch {
        // the file is not a journal yet
      }
    }
    throw new Error("the journal was not written");
  }

  /** Ends the writer; the journal file stays. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.stdin!.end();
    await once(this.#child, "exit");
  }

  #encode({ message, fields = {}, micros, boot = BOOT }: WrittenEntry): Buffer {
    // Entries of one journal have times that grow.
    this.#last = micros ?? Math.max(this.#last + 1, Date.now() * 1_000);
    const head = `__REALTIME_TIMESTAMP=${this.#last}\n__MONOTONIC_TIMESTAMP=${this.#monotonic++}\n_BOOT_ID=${boot}\n`;
    const parts: Uint8Array[] = [Buffer.from(head)];
    for (const [name, value] of Object.entries(fields)) parts.push(exportField(name, value));
    if (message !== undefined) parts.push(exportField("MESSAGE", message));
    parts.push(Buffer.from("\n"));
    return Buffer.concat(parts);
  }
}

/** One field in the export format: a line of text, or name, size and bytes. */
function exportField(name: string, value: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(value);
  if (!bytes.includes(10) && typeof value === "string") return Buffer.from(`${name}=${value}\n`);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), size, bytes, Buffer.from("\n")]);
}
