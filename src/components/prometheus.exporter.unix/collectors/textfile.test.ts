import assert from "node:assert/strict";
import { test } from "node:test";
import { Page } from "#kits/exporter/page";
import { FixtureHost } from "../testing.ts";
import { textfile } from "./textfile.ts";

async function collect(host: FixtureHost, directory: string): Promise<string[]> {
  const lines = await host.collect(textfile, `textfile { directory = "${host.root}/${directory}" }`);
  return lines.map((line) => line.replace(/(mtime_seconds\{.*\}) \d+$/, "$1 T"));
}

test("metrics of text files, with the same labels on all samples of a name", async () => {
  using host = new FixtureHost({
    "text/a.prom":
      '# HELP backups_total Backups.\n# TYPE backups_total counter\nbackups_total{host="x"} 3\nbackups_total 4\n',
    "text/b.prom": "size_bytes 1e3\n",
    "text/ignored.txt": "nonsense",
  });
  assert.deepEqual(await collect(host, "text"), [
    'backups_total{host=""} 4',
    'backups_total{host="x"} 3',
    'node_textfile_mtime_seconds{file="/text/a.prom"} T',
    'node_textfile_mtime_seconds{file="/text/b.prom"} T',
    "node_textfile_scrape_error 0",
    "size_bytes 1000",
  ]);
});

test("a broken file is left out as a whole, the others are not, and the error shows", async () => {
  using host = new FixtureHost({
    "text/bad.prom": "fine 1\nbroken{\n",
    "text/time.prom": "fine 1 1700000000000\n",
    "text/good.prom": "good 1\n",
  });
  assert.deepEqual(await collect(host, "text"), [
    "good 1",
    'node_textfile_mtime_seconds{file="/text/good.prom"} T',
    "node_textfile_scrape_error 1",
  ]);
  const collector = textfile.create(host.options(`textfile { directory = "${host.root}/text" }`));
  await collector.collect(new Page());
  const problems = collector.problem!.replaceAll(host.root, "").split("; ");
  assert.match(problems[0]!, /^cannot read \/text\/bad\.prom: line 2: /);
  assert.match(problems[1]!, /^cannot read \/text\/time\.prom: line 1: timestamps are not supported/);
});

test("two files do not contradict each other", async () => {
  using host = new FixtureHost({
    "text/a.prom": "# HELP x One.\n# TYPE x gauge\nx 1\n",
    "text/b.prom": '# HELP x Two.\n# TYPE x gauge\nx{a="b"} 2\n',
    "text/c.prom": "# TYPE x gauge\nx 3\n",
  });
  const lines = await collect(host, "text");
  assert.deepEqual(
    lines.filter((line) => line.startsWith("x")),
    ["x 1"],
  );
  assert.ok(lines.includes("node_textfile_scrape_error 1"));
});

test("folders may be given with wildcards; one that is missing is an error; none is none", async () => {
  using host = new FixtureHost({ "one/text/a.prom": "a 1\n", "two/text/b.prom": "b 1\n" });
  const lines = await collect(host, "*/text");
  assert.ok(lines.includes("a 1") && lines.includes("b 1"));
  assert.deepEqual(await collect(host, "nowhere"), ["node_textfile_scrape_error 1"]);
  assert.deepEqual(await host.collect(textfile), ["node_textfile_scrape_error 0"]);
});
