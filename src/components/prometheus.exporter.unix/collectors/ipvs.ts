import { counter, gauge } from "#kits/exporter/page";
import { IPVS_LABELS } from "../arguments.ts";
import type { CollectorDefinition } from "../collector.ts";
import { parseHex, parseNumber, readText, words } from "../files.ts";
import { readSubject } from "../subject.ts";

const TOTALS = [
  counter("node_ipvs_connections_total", "The total number of connections made."),
  counter("node_ipvs_incoming_packets_total", "The total number of incoming packets."),
  counter("node_ipvs_outgoing_packets_total", "The total number of outgoing packets."),
  counter("node_ipvs_incoming_bytes_total", "The total amount of incoming data."),
  counter("node_ipvs_outgoing_bytes_total", "The total amount of outgoing data."),
];

type Label = (typeof IPVS_LABELS)[number];

export interface Backend extends Readonly<Record<Label, string>> {
  readonly active: number;
  readonly inactive: number;
  readonly weight: number;
}

export const ipvs: CollectorDefinition = {
  name: "ipvs",
  enabledByDefault: true,
  create({ args, files }) {
    const chosen = new Set<string>(args.ipvs.backend_labels.length > 0 ? args.ipvs.backend_labels : IPVS_LABELS);
    const labels = IPVS_LABELS.filter((label) => chosen.has(label));
    const metrics = {
      active: gauge(
        "node_ipvs_backend_connections_active",
        "The current active connections by local and remote address.",
        ...labels,
      ),
      inactive: gauge(
        "node_ipvs_backend_connections_inactive",
        "The current inactive connections by local and remote address.",
        ...labels,
      ),
      weight: gauge("node_ipvs_backend_weight", "The current backend weight by local and remote address.", ...labels),
    };
    return {
      collect(page) {
        const totals = readTotals(files.proc("net/ip_vs_stats"));
        for (let i = 0; i < TOTALS.length; i++) page.add(TOTALS[i]!, totals[i]!);

        const sums = new Map<string, { values: string[]; active: number; inactive: number; weight: number }>();
        for (const backend of parseBackends(readText(files.proc("net/ip_vs")))) {
          const values = labels.map((label) => backend[label]);
          const key = values.join("\xff");
          let sum = sums.get(key);
          if (sum === undefined) sums.set(key, (sum = { values, active: 0, inactive: 0, weight: 0 }));
          sum.active += backend.active;
          sum.inactive += backend.inactive;
          sum.weight += backend.weight;
        }
        for (const { values, ...sum } of sums.values()) {
          page.add(metrics.active, sum.active, ...values);
          page.add(metrics.inactive, sum.inactive, ...values);
          page.add(metrics.weight, sum.weight, ...values);
        }
      },
    };
  },
};

/** Two lines of headings, then the sums in hexadecimal. */
function readTotals(path: string): number[] {
  const text = readSubject(path, "IPVS is not loaded");
  const totals = words(text.split("\n")[2] ?? "").map(parseHex);
  if (totals.length !== TOTALS.length) throw new Error(`${path} does not have the expected five sums`);
  return totals;
}

/** The back ends of /proc/net/ip_vs, each with the virtual service above it. */
export function parseBackends(text: string): Backend[] {
  const backends: Backend[] = [];
  let service = { proto: "", local_mark: "", local_address: "", local_port: "0" };
  for (const line of text.split("\n")) {
    const fields = words(line);
    const [kind, address = ""] = fields;
    if (kind === "TCP" || kind === "UDP") {
      const [local_address, local_port] = parseAddress(address);
      service = { proto: kind, local_mark: "", local_address, local_port };
    } else if (kind === "FWM") {
      service = { proto: kind, local_mark: address, local_address: "", local_port: "0" };
    } else if (kind === "->" && address !== "RemoteAddress:Port" && fields.length >= 6) {
      const [remote_address, remote_port] = parseAddress(address);
      const [weight, active, inactive] = fields.slice(3, 6).map(parseNumber) as [number, number, number];
      backends.push({ ...service, remote_address, remote_port, weight, active, inactive });
    }
  }
  return backends;
}

/** `C0A80016:0CEA` or `[2620:0000:…:0001]:0050`. */
function parseAddress(text: string): [address: string, port: string] {
  const port = String(parseHex(text.slice(-4)));
  if (/^[0-9A-F]{8}:/i.test(text)) {
    const bytes = [0, 2, 4, 6].map((at) => parseHex(text.slice(at, at + 2)));
    return [bytes.join("."), port];
  }
  const inner = /^\[([0-9a-f:]+)\]:/i.exec(text)?.[1];
  if (inner === undefined) throw new Error(`expected an address and port, found ${text}`);
  // The parser of URLs writes IPv6 addresses in their shortest form.
  return [new URL(`http://[${inner}]/`).hostname.slice(1, -1), port];
}
