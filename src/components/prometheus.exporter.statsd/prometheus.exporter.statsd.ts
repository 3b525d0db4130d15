import { readFile } from "node:fs/promises";
import { addBuildInfo } from "#kits/exporter/build-info";
import { exporterExports, runExporter } from "#kits/exporter/exporter";
import { Page } from "#kits/exporter/page";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import { LOSSES_MS } from "#kits/udp-losses";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { EventQueue, EventSink } from "./events.ts";
import { LineParser } from "./line.ts";
import { LineIntake, type Listening, listenTcp, listenUdp, parseAddress } from "./listeners.ts";
import { type CacheType, Mapper } from "./mapper.ts";
import { type MappingConfig, NO_MAPPINGS, parseMappingConfig } from "./mapping-config.ts";
import { Relay } from "./relay.ts";
import { SeriesStore } from "./series.ts";
import { Statistics } from "./statistics.ts";
import { listenUnixgram } from "./unixgram.ts";

const EXPIRE_MS = 1_000;

export default defineComponent({
  name: "prometheus.exporter.statsd",
  stability: "generally-available",
  summary: "Receives StatsD metrics and exposes them for Prometheus, as statsd_exporter does.",
  example: `prometheus.exporter.statsd "default" {
  listen_udp = "127.0.0.1:0"
  listen_tcp = "127.0.0.1:0"
}`,
  args: s
    .object({
      listen_udp: s.string().default(":9125").doc("Address for packets over UDP; none when empty."),
      listen_tcp: s.string().default(":9125").doc("Address for lines over TCP; none when empty."),
      listen_unixgram: s.string().default("").doc("Path of a socket for packets of programs on this machine."),
      unix_socket_mode: s.string().default("755").doc("Permissions of that socket, as an octal number."),
      mapping_config_path: s.string().default("").doc("File with mappings of StatsD's names to metrics and labels."),
      read_buffer: s.int(0).default(0).doc("Bytes that the system keeps for the sockets; 0 for its own default."),
      cache_size: s.int(0).default(1000).doc("Names whose mapping is remembered; 0 for none."),
      cache_type: s.oneOf(["lru", "random"]).default("lru").doc("Which name a full memory forgets."),
      event_queue_size: s
        .int(0)
        .default(10_000)
        .doc("Events that may wait.")
        .withoutEffect("events are handled as they come, so that none waits for others"),
      event_flush_threshold: s.int(1).default(1000).doc("Events that are handled together."),
      event_flush_interval: s.duration().min(1).default("200ms").doc("Longest time that an event waits for others."),
      parse_dogstatsd_tags: s.bool().default(true).doc("Read tags of DogStatsD: `name:1|c|#tag:value`."),
      parse_influxdb_tags: s.bool().default(true).doc("Read tags of InfluxDB: `name,tag=value:1|c`."),
      parse_librato_tags: s.bool().default(true).doc("Read tags of Librato: `name#tag=value:1|c`."),
      parse_signalfx_tags: s.bool().default(true).doc("Read tags of SignalFx: `name[tag=value]:1|c`."),
      relay_addr: s.string().default("").doc("Address to which all lines are sent on over UDP."),
      relay_packet_length: s.int(1).default(1400).doc("Longest packet that is sent on, in bytes."),
    })
    .rule(
      "listen_udp",
      (args) => args.listen_udp !== "" || args.listen_tcp !== "" || args.listen_unixgram !== "",
      "is empty, and so are `listen_tcp` and `listen_unixgram`: nothing could be received",
    ),
  exports: exporterExports,

  start(ctx, args) {
    const udp = args.listen_udp === "" ? undefined : parseAddress(args.listen_udp, "listen_udp");
    const tcp = args.listen_tcp === "" ? undefined : parseAddress(args.listen_tcp, "listen_tcp");
    const relayed = args.relay_addr === "" ? undefined : parseAddress(args.relay_addr, "relay_addr");
    const errors = new RecentDrops();
    const statistics = new Statistics((reason, text) => {
      ctx.flow.drop("metrics", "parse_error", 1);
      const lines = errors.add(reason, 1, text.slice(0, 200), ctx.clock.now());
      if (lines !== undefined)
        ctx.log.warn("dropped StatsD samples", { reason, samples: lines, example: text.slice(0, 200) });
    });
    const store = new SeriesStore(
      () => ctx.clock.monotonic(),
      (type) => statistics.metric(type),
    );
    const listening: Listening[] = [];
    let config = NO_MAPPINGS;
    let queue: EventQueue | undefined;
    const losses = new RecentDrops();
    ctx.rule("packets_lost", () => {
      const recent = losses.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      const cause = `the system threw away ${describeDrops(recent, "packets")}, since they came faster than they were read: raise \`read_buffer\` and net.core.rmem_max, or let clients put several lines into a packet`;
      return { state: "degraded", cause };
    });
    ctx.rule("samples_dropped", () => {
      const recent = errors.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      const cause = `dropped ${describeDrops(recent, "samples")}, such as of ${recent[0]!.text}`;
      return { state: "degraded", cause };
    });
    ctx.rule("too_many_series", () => {
      if (!store.isFull) return undefined;
      const cause = `there is no room for more series than the ${store.size} there are: set \`ttl\` in the mapping file, and look for tags with ever new values`;
      return { state: "degraded", cause };
    });
    ctx.rule("no_packets", () => {
      if (statistics.lines > 0 || listening.length === 0) return undefined;
      return {
        state: "idle",
        cause: `nothing has come in at ${listening.map(({ protocol, address }) => `${protocol} ${address}`).join(", ")} yet`,
      };
    });

    ctx.run(async (signal) => {
      for (const warning of config.warnings) ctx.log.warn("mapping file", { path: args.mapping_config_path, warning });
      statistics.mappings = config.mappings.length;
      const mapper = new Mapper(config, args.cache_size, args.cache_type as CacheType);
      statistics.cache = mapper.cache;
      queue = new EventQueue(new EventSink(config, mapper, store, statistics), args.event_flush_threshold, statistics);
      await using stack = new AsyncDisposableStack();
      const relay =
        relayed && stack.use(new Relay(args.relay_addr, relayed.host, relayed.port, args.relay_packet_length, ctx.log));
      statistics.relay = relay;
      const intake = new LineIntake(new LineParser(args, statistics), queue, relay, statistics);
      const { promise: broken, reject: failed } = Promise.withResolvers<never>();
      const add = (each: Listening) => {
        listening.push(stack.use(each));
        ctx.log.info("listening for StatsD", { protocol: each.protocol, address: each.address });
      };
      stack.defer(() => void listening.splice(0));
      if (udp !== undefined) add(await listenUdp(udp, args.read_buffer, intake, statistics, failed));
      if (tcp !== undefined) add(await listenTcp(tcp, intake, failed));
      const { listen_unixgram: path, unix_socket_mode: mode } = args;
      if (path !== "") add(await listenUnixgram(path, mode, args.read_buffer, intake, statistics, ctx.log));
      const stopped = new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.race([stopped, broken]);
    });
    ctx.every(args.event_flush_interval, () => queue?.flush());
    ctx.every(EXPIRE_MS, () => store.expire());
    ctx.every(LOSSES_MS, async () => {
      for (const each of listening) {
        const packets = (await each.losses?.take()) ?? 0;
        if (packets === 0) continue;
        ctx.flow.drop("metrics", "receive_buffer_full", packets);
        const logged = losses.add("receive_buffer_full", packets, "", ctx.clock.now());
        if (logged !== undefined)
          ctx.log.warn("the system threw away packets", { address: each.address, packets: logged });
      }
    });

    const exporter = runExporter(ctx, {
      instance: ctx.id,
      collect() {
        const page = new Page();
        store.addTo(page);
        statistics.addTo(page);
        addBuildInfo(page, "statsd_exporter", ctx.services.version);
        return page.families();
      },
    });
    return {
      ...exporter,
      // As in Alloy, nothing starts with a file that cannot be used.
      async ready() {
        config = await readMappings(args.mapping_config_path);
      },
      debugInfo: () => ({ listen_addresses: listening.map(({ address }) => address), series: store.size }),
    };
  },
});

async function readMappings(path: string): Promise<MappingConfig> {
  if (path === "") return NO_MAPPINGS;
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read the mapping file ${path}: ${(error as Error).message}`, { cause: error });
  }
  try {
    return parseMappingConfig(text);
  } catch (error) {
    throw new Error(`the mapping file ${path} is wrong: ${(error as Error).message}`, { cause: error });
  }
}
