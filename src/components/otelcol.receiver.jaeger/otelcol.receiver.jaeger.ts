import { serverAuth } from "#kits/otelcol/auth";
import { parseListenAddress } from "#kits/otelcol/listen";
import { Listener } from "#kits/otelcol/listener";
import { rpcRecorder, rpcServerMetrics } from "#kits/otelcol/metrics";
import { debugMetricsSchema, outputSchema } from "#kits/otelcol/schema";
import { TraceIntake, traceReceiverMetrics } from "#kits/otelcol/trace-receiver";
import { LOSSES_MS } from "#kits/udp-losses";
import { sameArguments } from "#lang/decode";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { PROTOCOLS, type Protocols, protocolsSchema, UDP_PROTOCOLS } from "./schema.ts";
import { JaegerServers } from "./servers.ts";
import type { UdpAgent } from "./udp-agent.ts";

const LOST_PACKETS =
  "they came faster than they were read, and the system threw them away: raise `socket_buffer_size` and the system's net.core.rmem_max";

const args = s.object({
  protocols: s.block(protocolsSchema).required().doc("How clients send; at least one protocol."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  output: s.block(outputSchema).required().doc("Where received spans go; a Jaeger client sends traces only."),
});

export default defineComponent({
  name: "otelcol.receiver.jaeger",
  stability: "generally-available",
  summary: "Receives spans from clients of Jaeger: over gRPC, thrift over HTTP, and thrift in UDP packets.",
  example: `otelcol.receiver.jaeger "default" {
  protocols {
    grpc { }
    thrift_http { }
    thrift_binary { }
    thrift_compact { }
  }

  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  metrics: { ...traceReceiverMetrics, ...rpcServerMetrics },

  start(ctx, first) {
    const out = ctx.fanout("otlp", first.output.traces);
    const intake = new TraceIntake(ctx, out, "jaeger");
    const servers = new JaegerServers(ctx, intake, rpcRecorder(ctx.metrics));
    const problems = new Map<string, string>();
    const listeners = {
      grpc: new Listener(ctx, "grpc", problems),
      thrift_http: new Listener(ctx, "thrift_http", problems),
      thrift_binary: new Listener(ctx, "thrift_binary", problems),
      thrift_compact: new Listener(ctx, "thrift_compact", problems),
    };
    const agents = new Map<string, UdpAgent>();
    let current = first;
    apply(first.protocols);
    ctx.every(LOSSES_MS, async () => {
      for (const agent of agents.values()) {
        const packets = (await agent.losses?.take()) ?? 0;
        if (packets > 0) intake.drop("receive_buffer_full", packets, LOST_PACKETS);
      }
    });

    function apply(protocols: Protocols): void {
      const { grpc, thrift_http } = protocols;
      // What the arguments alone make wrong fails here, before anything changes.
      for (const name of PROTOCOLS) {
        const block = protocols[name];
        if (block !== undefined) parseListenAddress(block.endpoint, name === "grpc" ? grpc!.transport : "tcp");
      }
      for (const block of [grpc, thrift_http]) serverAuth(block?.auth);
      if (grpc === undefined) listeners.grpc.off();
      else listeners.grpc.on(grpc.tls, (tls) => servers.grpc(grpc, tls));
      if (thrift_http === undefined) listeners.thrift_http.off();
      else listeners.thrift_http.on(thrift_http.tls, (tls) => servers.http(thrift_http, tls));
      for (const name of UDP_PROTOCOLS) {
        const block = protocols[name];
        agents.delete(name);
        if (block === undefined) listeners[name].off();
        else {
          listeners[name].on(undefined, () => {
            const agent = servers.udp(name === "thrift_binary" ? "binary" : "compact", block);
            agents.set(name, agent);
            return agent;
          });
        }
      }
    }

    return {
      update(next) {
        out.set(next.output.traces);
        // Listeners live on when only the outputs changed.
        if (!sameArguments(args, { ...next, output: current.output }, current)) apply(next.protocols);
        current = next;
      },
      async drain(deadline) {
        await Promise.all(PROTOCOLS.map((name) => listeners[name].close(deadline)));
      },
      debugInfo: () => ({
        listeners: Object.fromEntries(PROTOCOLS.map((name) => [name, listeners[name].address])),
      }),
    };
  },
});
