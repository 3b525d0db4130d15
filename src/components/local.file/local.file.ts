import { type FSWatcher, readFileSync, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { roughDuration } from "#base/duration";
import { errorText } from "#base/log";
import { gauge } from "#base/metrics";
import { s } from "#lang/schema";
import { Secret } from "#lang/value";
import { defineComponent } from "#pipeline/component";

/** Between a change and reading it, so that what is half written is not exported. */
const SETTLE_MS = 30;

export default defineComponent({
  name: "local.file",
  stability: "generally-available",
  summary: "Exports the content of a file, and exports it again when it changes.",
  example: `local.file "example" {
  filename  = "/etc/hosts"
  is_secret = false
}`,
  args: s
    .object({
      filename: s.string().doc("The file to read and to watch."),
      detector: s
        .oneOf(["fsnotify", "poll"])
        .default("fsnotify")
        .doc("How changes are noticed; with `fsnotify` the file is also polled, for file systems that notify nobody."),
      poll_frequency: s.duration().default("1m").doc("How often to look for changes."),
      is_secret: s.bool().default(false).doc("The content is a secret, and never shown."),
    })
    .rule("poll_frequency", (args) => args.poll_frequency > 0, "must be greater than 0"),
  exports: s.object({ content: s.optionalSecret().doc("The file's content; a secret with `is_secret`.") }),
  metrics: {
    accessed: gauge("local_file_timestamp_last_accessed_unix_seconds", "The last successful access in unix seconds"),
  },

  start(ctx, args) {
    const { filename, detector, poll_frequency, is_secret } = args;
    let failing: { readonly since: number; readonly problem: string } | undefined;
    let latest: string | undefined;
    let changed = Promise.withResolvers<void>();

    ctx.rule("file_unreadable", () => {
      if (failing === undefined) return undefined;
      const since = roughDuration(ctx.clock.now() - failing.since);
      return { state: "failing", cause: `${failing.problem}. What it last held is in use, and has been for ${since}` };
    });
    try {
      // The one read that may not wait: without the content no argument that refers to it can be evaluated.
      exportContent(readFileSync(filename));
    } catch (error) {
      throw new Error(explain(filename, error as NodeJS.ErrnoException), { cause: error });
    }

    ctx.run(async (signal) => {
      const watcher = detector === "fsnotify" ? watchFolder() : undefined;
      try {
        while (!signal.aborted) {
          await waitForChange(signal);
          if (!signal.aborted) await read();
        }
      } finally {
        watcher?.close();
      }
    });

    /** The folder is watched, since files are often replaced by others of the same name, and links by other links. */
    function watchFolder(): FSWatcher | undefined {
      try {
        const watcher = watch(dirname(filename), () => changed.resolve());
        watcher.on("error", (error) =>
          ctx.log.warn("cannot watch the file any more, it is polled", { filename, error }),
        );
        return watcher;
      } catch (error) {
        ctx.log.warn("cannot watch the file, it is polled", { filename, error });
        return undefined;
      }
    }

    async function waitForChange(signal: AbortSignal): Promise<void> {
      const pause = new AbortController();
      const stop = () => pause.abort();
      signal.addEventListener("abort", stop, { once: true });
      const poll = ctx.clock.sleep(poll_frequency, pause.signal).catch(() => {});
      await Promise.race([poll, changed.promise]);
      pause.abort();
      signal.removeEventListener("abort", stop);
      await ctx.clock.sleep(SETTLE_MS, signal).catch(() => {});
      changed = Promise.withResolvers();
    }

    async function read(): Promise<void> {
      try {
        exportContent(await readFile(filename));
      } catch (error) {
        const problem = explain(filename, error as NodeJS.ErrnoException);
        if (failing?.problem !== problem) ctx.log.error("failed to read file", { filename, problem });
        failing = { since: failing?.since ?? ctx.clock.now(), problem };
        ctx.health(problem);
        ctx.flow.failed(problem);
        ctx.flow.judge();
      }
    }

    function exportContent(bytes: Buffer): void {
      const content = bytes.toString();
      ctx.metrics.accessed.set(ctx.clock.now() / 1000);
      if (content !== latest) ctx.export({ content: is_secret ? new Secret(content) : content });
      latest = content;
      if (failing !== undefined) ctx.log.info("the file can be read again", { filename });
      failing = undefined;
      ctx.health(undefined);
      ctx.flow.ok();
      ctx.flow.judge();
    }
  },
});

function explain(filename: string, error: NodeJS.ErrnoException): string {
  const because: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file; create it or correct `filename`",
    EACCES: "the permission is missing; let the agent's user read it",
    EISDIR: "it is a folder; name a file in it",
    ENOTDIR: "a part of the path is no folder; correct `filename`",
  };
  return `cannot read ${filename}: ${because[error.code ?? ""] ?? errorText(error)}`;
}
