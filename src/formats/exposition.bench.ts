import assert from "node:assert/strict";
import { ExpositionParser } from "./exposition.ts";

/** Reads pages of 50,000 series of 10 labels: `node src/formats/exposition.bench.ts`. Prints samples per CPU-second. */
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
