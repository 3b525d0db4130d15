import assert from "node:assert/strict";
import { ProtoWriter } from "../protobuf.ts";
import { ExpositionParser } from "./exposition.ts";
import { translateProtobuf } from "./protobuf.ts";

/** Reads pages of 50,000 series of 10 labels: `node src/formats/exposition/exposition.bench.ts`. Prints samples per CPU-second. */
const SERIES = 50_000;
const page = (seed: number) => {
  let text = "";
  for (let i = 0; i < SERIES; i++) {
    if (i % 100 === 0) text += `# HELP metric_${i / 100}_total Some help.\n# TYPE metric_${i / 100}_total counter\n`;
    const value = i % 3 === 0 ? ((i * 7919 + seed) / 7).toString() : String(i * 31 + seed);
    text += `metric_${Math.floor(i / 100)}_total{cluster="eu-west-1",namespace="team-${i % 17}",pod="app-${i % 1000}-x7k2p",container="main",method="GET",code="${200 + (i % 5)}",path="/api/v1/items",zone="a",le="0.${i % 10}"} ${value}\n`;
  }
  return Buffer.from(text);
};
const pages = [page(1), page(2), page(3)];

function measure(name: string, run: (round: number) => number): void {
  for (let round = 0; round < 5; round++) assert.equal(run(round), SERIES);
  const began = process.cpuUsage();
  let samples = 0;
  for (let round = 0; round < 20; round++) samples += run(round);
  const used = process.cpuUsage(began);
  const rate = samples / ((used.user + used.system) / 1e6);
  console.log(`${name}: ${(rate / 1e6).toFixed(2)} M samples per CPU-second`);
}

const stable = new ExpositionParser();
let refs = 0;
measure("unchanged order", (round) => {
  const bytes = pages[round % 3]!;
  stable.parse(bytes, bytes.length, "text", () => ++refs);
  stable.commit([], []);
  return stable.count;
});
assert.equal(refs, SERIES);

const reversed = pages.map((bytes) => {
  const lines = bytes.toString().trimEnd().split("\n");
  return Buffer.from(`${lines.reverse().join("\n")}\n`);
});
const shuffled = new ExpositionParser();
measure("changed order", (round) => {
  const bytes = (round % 2 === 0 ? pages : reversed)[round % 3]!;
  shuffled.parse(bytes, bytes.length, "text", () => ++refs);
  shuffled.commit([], []);
  return shuffled.count;
});

measure("all new", (round) => {
  const fresh = new ExpositionParser();
  const bytes = pages[round % 3]!;
  fresh.parse(bytes, bytes.length, "text", () => ++refs);
  return fresh.count;
});

const OPTIONS = {
  nativeHistograms: true,
  classicHistograms: false,
  convertHistograms: true,
  startTimestamps: false,
  typeAndUnitLabels: false,
};

/** Classic histograms of ten buckets: as many lines as the other pages have. */
const histograms = (seed: number) => {
  let text = "";
  for (let i = 0; i < SERIES / 12; i++) {
    if (i % 100 === 0) text += `# TYPE histogram_${i / 100} histogram\n`;
    const name = `histogram_${Math.floor(i / 100)}`;
    const labels = `cluster="eu-west-1",namespace="team-${i % 17}",pod="app-${i % 1000}-x7k2p",path="/api/v1/items"`;
    for (let k = 0; k < 9; k++) text += `${name}_bucket{${labels},le="0.${k + 1}"} ${seed + k * i}\n`;
    text += `${name}_bucket{${labels},le="+Inf"} ${seed + 9 * i}\n${name}_sum{${labels}} ${i / 7}\n${name}_count{${labels}} ${seed + 9 * i}\n`;
  }
  return Buffer.from(text);
};
const classic = [histograms(1), histograms(2), histograms(3)];
const lines = Math.ceil(SERIES / 12) * 12;
const converting = new ExpositionParser(OPTIONS);
measure("classic histograms converted, by the lines read", (round) => {
  const bytes = classic[round % 3]!;
  converting.parse(bytes, bytes.length, "text", () => ++refs);
  converting.commit([], []);
  assert.equal(converting.count * 12, lines);
  return SERIES;
});

const protobuf = (seed: number) => {
  const page = new ProtoWriter();
  const label = (name: string, value: string) => {
    const writer = new ProtoWriter();
    writer.string(1, name);
    writer.string(2, value);
    return writer.finish();
  };
  for (let family = 0; family < SERIES / 100; family++) {
    const out = new ProtoWriter();
    out.string(1, `metric_${family}_total`);
    out.string(2, "Some help.");
    for (let i = 0; i < 100; i++) {
      const metric = out.begin(4);
      for (const [name, value] of [
        ["cluster", "eu-west-1"],
        ["namespace", `team-${i % 17}`],
        ["pod", `app-${i}-x7k2p`],
        ["path", "/api/v1/items"],
      ] as const) {
        out.bytes(1, label(name, value));
      }
      const counter = out.begin(3);
      out.double(1, i * 31 + seed);
      out.end(counter);
      out.end(metric);
    }
    page.rawVarint(out.length);
    page.raw(out.view());
  }
  return page.finish();
};
const messages = [protobuf(1), protobuf(2), protobuf(3)];
const translated = new ExpositionParser();
measure("protobuf", (round) => {
  const { text } = translateProtobuf(messages[round % 3]!, messages[round % 3]!.length, OPTIONS);
  translated.parse(text, text.length, "translated", () => ++refs);
  translated.commit([], []);
  return translated.count;
});
