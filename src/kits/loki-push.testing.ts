import { Agent, request } from "undici";
import { type Clock, systemClock } from "#base/clock";
import type { MetricSpecs } from "#base/metrics";
import type { Value } from "#lang/value";
import type { ComponentDefinition } from "#pipeline/component";
import { recordLogs, startComponent } from "#pipeline/testing";

export interface PushAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface PushTestOptions {
  /** What is in the `http` block, beside address and port. */
  readonly http?: string;
  readonly scope?: Readonly<Record<string, Value>>;
  readonly recorder?: ReturnType<typeof recordLogs>;
}

/** Starts a source with an HTTP server on a free port, in front of a recorder; `config` are its other arguments. */
export async function startPushSource<A, E, M extends MetricSpecs>(
  definition: ComponentDefinition<A, E, M>,
  config = "",
  { http = 'server_write_timeout = "500ms"', scope = {}, recorder = recordLogs() }: PushTestOptions = {},
) {
  const clock: Clock & { shiftMs: number } = {
    ...systemClock,
    shiftMs: 0,
    now: () => systemClock.now() + clock.shiftMs,
  };
  const text = (more: string, httpBlock = http, port: number | string = 0) =>
    `http {\n listen_address = "127.0.0.1"\n listen_port = ${port}\n ${httpBlock}\n}\ngraceful_shutdown_timeout = "5s"\nforward_to = [sink]\n${more}`;
  const component = await startComponent(definition, text(config), {
    scope: { sink: recorder.value, ...scope },
    clock,
  });
  const address = () => {
    const info = component.instance.debugInfo!() as { listen_address?: string; address?: string };
    return info.listen_address ?? info.address ?? "";
  };
  for (let i = 0; address() === "" && i < 10_000; i++) await new Promise((resolve) => setImmediate(resolve));
  const agent = new Agent();
  return {
    component,
    recorder,
    clock,
    address,
    configText: text,
    async ask(
      method: string,
      path: string,
      body: string | Uint8Array | AsyncIterable<Uint8Array> | undefined = undefined,
      headers: Record<string, string> = {},
      signal?: AbortSignal,
    ): Promise<PushAnswer> {
      const url = `http://${address()}${path}`;
      const options = { method, body: body as string, headers, dispatcher: agent, signal: signal ?? null };
      const response = await request(url, options as object);
      return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
    },
    status() {
      component.flow.judge();
      return component.flow.status;
    },
    findings() {
      component.flow.judge();
      return component.flow.findings.map(({ rule }) => rule).sort();
    },
    async [Symbol.asyncDispose]() {
      await agent.close();
      await component.stop();
    },
  };
}
