import { roughDuration } from "#base/duration";
import { errorText } from "#base/log";
import { s } from "#lang/schema";
import { Secret } from "#lang/value";
import type { ComponentContext, ComponentInstance } from "#pipeline/component";

/** What `remote.*` components share that export one text from elsewhere, and ask for it again now and then. */

export const contentExports = s.object({
  content: s.optionalSecret().doc("What was read; a secret with `is_secret`."),
});

export interface ContentArguments {
  readonly poll_frequency: number;
  readonly is_secret: boolean;
}

/** Reads the text. A rejection says what failed, why, and what to do. */
export interface ContentReader {
  read(signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

/**
 * Reads before anything can refer to the content, so that a component without it does not start, and an update without it
 * is not carried out; then in intervals. What was last read stays in use while it cannot be read, and the status says so.
 */
export function remoteContent<A extends ContentArguments>(
  ctx: ComponentContext<{ readonly content: string | Secret }>,
  args: A,
  readerOf: (args: A) => ContentReader,
): ComponentInstance<A> {
  let current = args;
  let reader = readerOf(args);
  let exported: { readonly text: string; readonly isSecret: boolean } | undefined;
  let asOf = 0;
  let problem: string | undefined;
  let again = new AbortController();
  ctx.stack.defer(() => reader.close());
  ctx.rule("poll_failed", () => {
    if (problem === undefined) return undefined;
    const age = roughDuration(ctx.clock.now() - asOf);
    return { state: "degraded", cause: `${problem}. What was read ${age} ago is in use` };
  });
  ctx.export({ content: args.is_secret ? new Secret("") : "" });

  ctx.run(async (signal) => {
    while (!signal.aborted) {
      again = new AbortController();
      const until = AbortSignal.any([signal, again.signal]);
      await ctx.clock.sleep(current.poll_frequency, until).catch(() => {});
      if (!until.aborted) await poll(until);
    }
  });

  return {
    async ready(signal) {
      take(await reader.read(signal), current);
    },
    async update(next) {
      const fresh = readerOf(next);
      try {
        // Where nothing runs nothing was asked for, and is not now.
        if (exported !== undefined) take(await fresh.read(ctx.signal), next);
      } catch (error) {
        await fresh.close();
        throw error;
      }
      const before = reader;
      reader = fresh;
      current = next;
      again.abort();
      await before.close();
    },
  };

  async function poll(signal: AbortSignal): Promise<void> {
    const options = current;
    try {
      const text = await reader.read(signal);
      if (!signal.aborted) take(text, options);
    } catch (error) {
      if (signal.aborted) return;
      const cause = (error as Error).message || errorText(error); // the message says all of its cause that helps
      if (problem !== cause) ctx.log.error("cannot read the content", { error: cause });
      problem = cause;
      ctx.health(`polling failed: ${cause}`);
      ctx.flow.failed(cause);
      ctx.flow.judge();
    }
  }

  function take(text: string, { is_secret }: A): void {
    if (problem !== undefined) ctx.log.info("the content can be read again");
    problem = undefined;
    asOf = ctx.clock.now();
    if (exported?.text !== text || exported.isSecret !== is_secret) {
      exported = { text, isSecret: is_secret };
      ctx.export({ content: is_secret ? new Secret(text) : text });
    }
    ctx.health(undefined);
    ctx.flow.ok();
    ctx.flow.judge();
  }
}
