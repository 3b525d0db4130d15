import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { SeriesRegistry } from "#pipeline/series";
import { ScrapeDirectory, type ScrapedTarget } from "./directory.ts";

function target(componentId: string, url: string, labels: Record<string, string>): ScrapedTarget {
  return { componentId, href: url, shownUrl: url, labels: Labels.from(Object.entries(labels)) };
}
const URL = "http://a:1/metrics";

test("one target of two components is told to both, and to none of them once one lets go of it", () => {
  const directory = ScrapeDirectory.of(new SeriesRegistry());
  const one = target("prometheus.scrape.a", URL, { job: "x", instance: "a:1" });
  const other = target("prometheus.scrape.b", URL, { job: "x", instance: "a:1" });
  directory.add(one);
  directory.add(target("prometheus.scrape.c", "http://c:1/metrics", { job: "x" }));
  assert.equal(directory.judge("prometheus.scrape.a"), undefined);
  directory.add(other);
  for (const id of ["prometheus.scrape.a", "prometheus.scrape.b"]) {
    assert.match(
      directory.judge(id)!.cause,
      /^http:\/\/a:1\/metrics is scraped by prometheus\.scrape\.a and prometheus\.scrape\.b with the same labels: its samples are sent twice/,
    );
  }
  assert.equal(directory.judge("prometheus.scrape.c"), undefined);
  directory.remove(other);
  assert.equal(directory.judge("prometheus.scrape.a"), undefined);
});

test("labels that tell the two apart are shown; many are counted", () => {
  const directory = ScrapeDirectory.of(new SeriesRegistry());
  directory.add(target("prometheus.scrape.a", URL, { job: "x", port: "80" }));
  directory.add(target("prometheus.scrape.a", URL, { job: "x", port: "81" }));
  const { cause } = directory.judge("prometheus.scrape.a")!;
  assert.match(cause, /is scraped 2 times by prometheus\.scrape\.a, as \{port="80"\} and as \{port="81"\}: /);
  for (let i = 0; i < 5; i++) {
    for (const id of ["p.a", "p.b"]) directory.add(target(id, `http://h${i}`, { job: id }));
  }
  assert.match(directory.judge("p.b")!.cause, /; and 2 more targets: /);
});

test("finds who scrapes the target of a series, in its own agent only", () => {
  const registry = new SeriesRegistry();
  const one = target("prometheus.scrape.a", URL, { job: "x", instance: "a:1" });
  ScrapeDirectory.of(registry).add(one);
  assert.deepEqual(ScrapeDirectory.of(registry).find("x", "a:1"), [one]);
  assert.deepEqual(ScrapeDirectory.of(registry).find("y", "a:1"), []);
  assert.deepEqual(ScrapeDirectory.of(new SeriesRegistry()).find("x", "a:1"), []);
});
