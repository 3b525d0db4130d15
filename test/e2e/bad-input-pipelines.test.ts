import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { LogWriter } from "../kit/log-writer.ts";
import { NumberedPages, ScrapeRecord } from "../kit/numbered-pages.ts";
import { decodeWrite } from "../kit/remote-write.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** What is wrong in files, on pages, on disks and in backends: shown with its cause, counted, and everything else goes on. */

const MIB = 1024 * 1024;
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

function logs(files: string, url: string, endpoint = ""): string {
  return `local.file_match "logs" {
  path_targets = [${files}]
  sync_period  = "200ms"
}

loki.source.file "logs" {
  targets    = local.file_match.logs.targets
  forward_to = [loki.write.out.receiver]
}

loki.write "out" {
  endpoint {
    url                = "${url}/loki/api/v1/push"
    batch_wait         = "50ms"
    min_backoff_period = "50ms"
    ${endpoint}
  }
}
`;
}

const pathTarget = (path: string) => `{ __path__ = "${path}" }`;

test("lines of 10 MB, without text and of bytes that are no UTF-8 pass; one that is too long is cut, and the log says so", async (t) => {
  const folder = temporaryFolder(t);
  const bodies: Buffer[] = [];
  const lines = new SequenceCounter();
  const sink = await Sink.start((_path, body) => {
    bodies.push(Buffer.from(body));
    countSequences(body, "seq=", lines);
  });
  cleanUp(t, () => sink.stop());
  const path = join(folder, "app.log");
  writeFileSync(path, `seq=0\n\n\0\nseq=1 ${"x".repeat(10 * MIB)}\n`);
  appendFileSync(path, Buffer.from("seq=2 \xff\xfe\xc3\n", "latin1"));
  appendFileSync(path, `seq=3 ${"y".repeat(20 * MIB)}\nseq=4\n`);
  const agent = await startAgent(t, logs(pathTarget(path), sink.url));
  await agent.until(() => lines.distinct === 5, "all lines have come");
  assert.ok(
    bodies.some((body) => body.includes("x".repeat(10 * MIB))),
    "10 MB in one piece",
  );
  await agent.untilLogged(/a line is longer than 16 MiB/);
  assert.ok(
    bodies.every((body) => !body.includes("\xff")),
    "what is sent is UTF-8",
  );
  assert.equal(await agent.stop(), 0);
});

test("a folder that may not be read: the status names it and says what to do, other files go on", {
  skip: !isRoot,
}, async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const lines = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, "seq=", lines));
  cleanUp(t, () => sink.stop());
  for (const name of ["closed", "open"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "closed", "a.log"), "seq=0\n");
  writeFileSync(join(folder, "open", "unreadable.log"), "seq=1\n", { mode: 0o600 });
  writeFileSync(join(folder, "open", "a.log"), "seq=2\n");
  chmodSync(join(folder, "closed"), 0o700);
  const storage = join(folder, "storage");
  mkdirSync(storage);
  chmodSync(storage, 0o777);
  const targets = [pathTarget(`${folder}/closed/*.log`), pathTarget(`${folder}/open/*.log`)].join(", ");
  const agent = await startAgent(t, logs(targets, sink.url), { user: NOBODY, storage });
  await agent.until(() => lines.distinct === 1, "the readable file has come");
  await agent.until(async () => {
    const flows = (await agent.status()).map((each) => `${each.id} ${each.flow.state} ${each.flow.cause}`).join("\n");
    return /closed.*(permission|may not)/i.test(flows) && /unreadable\.log.*(permission|may not)/i.test(flows);
  }, "both problems show");
  chmodSync(join(folder, "open", "unreadable.log"), 0o644);
  await agent.until(() => lines.distinct === 2, "the file comes once it may be read");
  assert.equal(await agent.stop(), 0);
});

test("a full disk: sources wait, the status says so, and all arrives once there is room", {
  skip: !isRoot,
}, async (t) => {
  const disk = join(temporaryFolder(t), "disk");
  mkdirSync(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], { stdio: "pipe" });
  } catch {
    t.skip("no file system may be mounted here");
    return;
  }
  cleanUp(t, () => execFileSync("umount", ["-l", disk]));
  const pages = await NumberedPages.start(t);
  const scrapes = new ScrapeRecord();
  const sink = await Sink.start((_path, body) => addScrapes(body, scrapes));
  cleanUp(t, () => sink.stop());
  sink.answer = () => ({ status: 503 });
  const agent = await startAgent(
    t,
    `prometheus.scrape "pages" {
  targets         = ${pages.targets(20)}
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
}

prometheus.remote_write "out" {
  endpoint {
    url = "${sink.url}/api/v1/write"

    queue_config {
      max_backoff = "200ms"
    }
  }
}
`,
    { storage: disk },
  );
  // Something else fills the rest of the disk.
  await agent.until(() => pages.complete > 40, "pages are scraped");
  try {
    for (;;) appendFileSync(join(disk, "other"), Buffer.alloc(4096));
  } catch {
    // full
  }
  const flow = async () => (await agent.component("prometheus.remote_write.out")).flow;
  await agent.until(async () => /ENOSPC|space|full/i.test((await flow()).cause), "the full disk shows");
  assert.equal((await agent.component("prometheus.remote_write.out")).health.state, "healthy");
  execFileSync("rm", [join(disk, "other")]);
  sink.answer = () => ({ status: 204 });
  const before = pages.complete;
  await agent.until(() => pages.complete > before + 40, "scrapes go on");
  await agent.until(async () => (await flow()).state === "ok", "the status recovers");
  await agent.until(() => pages.missing(scrapes).length <= 20, "what waited has come");
  assert.equal(await agent.stop(), 0);
  assert.deepEqual(pages.missing(scrapes), []);
});

function addScrapes(body: Uint8Array, record: ScrapeRecord): void {
  for (const series of decodeWrite(body)) record.add(series);
}

/** A page server that answers as it is told. */
async function servePage(t: TestContext) {
  const page = { address: "", answer: (response: ServerResponse): void => void response.end("fine 1\n") };
  const server = createServer((_, response) => page.answer(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  page.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return page;
}

test("pages that cannot be scraped: up is 0, the cause shows, and the next good one counts", async (t) => {
  const page = await servePage(t);
  const latest = new Map<string, number>();
  const sink = await Sink.start((_path, body) => {
    for (const { labels, samples } of decodeWrite(body)) {
      for (const { value } of samples) if (!Number.isNaN(value)) latest.set(labels.get("__name__")!, value);
    }
  });
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(
    t,
    `prometheus.scrape "page" {
  targets                  = [{ __address__ = "${page.address}" }]
  forward_to               = [prometheus.remote_write.out.receiver]
  scrape_interval          = "300ms"
  scrape_timeout           = "300ms"
  body_size_limit          = "1MiB"
  sample_limit             = 100
  label_limit              = 10
  label_name_length_limit  = 100
  label_value_length_limit = 1000
}

prometheus.remote_write "out" {
  endpoint {
    url = "${sink.url}/api/v1/write"

    queue_config {
      batch_send_deadline = "50ms"
    }
  }
}
`,
  );
  const cause = async () => (await agent.component("prometheus.scrape.page")).flow.cause;
  const plain =
    (text: string | Buffer, headers: Record<string, string> = {}) =>
    (response: ServerResponse) =>
      void response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4", ...headers }).end(text);
  const cases: [what: string, answer: (response: ServerResponse) => void, cause: RegExp][] = [
    ["malformed text", plain('a{b="c" 1\n'), /pars|expected|invalid/i],
    ["no number", plain("a notanumber\n"), /notanumber/],
    ["invalid UTF-8", plain(Buffer.from('a{b="\xff"} 1\n', "latin1")), /utf-?8/i],
    ["status 500", (response) => void response.writeHead(500).end("no"), /500/],
    ["a body that is too large", plain(`# ${"x".repeat(2 * MIB)}\n`), /limit|large/i],
    ["a gzip bomb", plain(gzipSync(Buffer.alloc(50 * MIB, "#")), { "Content-Encoding": "gzip" }), /limit|large/i],
    [
      "half a gzip",
      plain(gzipSync(`a 1\n`.repeat(1000)).subarray(0, 20), { "Content-Encoding": "gzip" }),
      /gzip|unexpected|end|header|check/i,
    ],
    [
      "too many samples",
      plain(Array.from({ length: 200 }, (_, i) => `a{i="${i}"} 1\n`).join("")),
      /sample.?limit|limit/i,
    ],
    ["too many labels", plain(`a{${Array.from({ length: 20 }, (_, i) => `l${i}="x"`).join()}} 1\n`), /label/i],
    ["a label value that is too long", plain(`a{b="${"x".repeat(2000)}"} 1\n`), /label/i],
    ["a label name that is too long", plain(`a{${"b".repeat(200)}="x"} 1\n`), /label/i],
    ["no end", (response) => void response.write("a 1\n"), /time|deadline/i],
    [
      "an answer cut short",
      (response) => {
        response.writeHead(200, { "Content-Length": "1000" });
        response.write("a 1\n");
        setImmediate(() => response.destroy());
      },
      /.+/,
    ],
  ];
  for (const [what, answer, pattern] of cases) {
    page.answer = plain("fine 1\n");
    await agent.until(async () => latest.get("up") === 1 && (await cause()) === "", `before ${what}: up is 1`);
    page.answer = answer;
    await agent
      .until(() => latest.get("up") === 0, `${what}: up is 0`)
      .catch(async (error) => {
        throw new Error(`cause: ${await cause()}\n${error}`);
      });
    await agent
      .until(async () => pattern.test(await cause()), `${what}: the cause matches ${pattern}`)
      .catch(async (error) => {
        throw new Error(`cause: ${await cause()}\n${error}`);
      });
    assert.equal((await agent.component("prometheus.scrape.page")).health.state, "healthy", "as in Alloy");
  }
  assert.ok(!latest.has("a"), "nothing of a bad page was sent");
  assert.ok((await agent.metric("process_resident_memory_bytes"))! < 700 * MIB);
  assert.equal(await agent.stop(), 0);
});

/** Files and pages, both to the same backend. */
async function bothWriters(t: TestContext) {
  const folder = temporaryFolder(t);
  const pages = await NumberedPages.start(t);
  const lines = new SequenceCounter();
  const scrapes = new ScrapeRecord();
  const sink = await Sink.start((path, body) => {
    if (path.startsWith("/loki")) countSequences(body, "seq=", lines);
    else addScrapes(body, scrapes);
  });
  cleanUp(t, () => sink.stop());
  const writer = new LogWriter(join(folder, "app.log"), { linesPerWrite: 5, pauseMs: 20 });
  cleanUp(t, () => writer.stop());
  const config = `${logs(pathTarget(join(folder, "app.log")), sink.url)}
prometheus.scrape "pages" {
  targets         = ${pages.targets(2)}
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "500ms"
  scrape_timeout  = "500ms"
}

prometheus.remote_write "out" {
  endpoint {
    url = "${sink.url}/api/v1/write"

    queue_config {
      batch_send_deadline = "50ms"
      max_backoff         = "300ms"
    }
  }
}
`;
  return { pages, lines, scrapes, sink, writer, config };
}

const WRITERS = ["loki.write.out", "prometheus.remote_write.out"] as const;

for (const status of [400, 413]) {
  test(`a backend that answers ${status}: what it refuses is dropped and counted, what follows is sent`, async (t) => {
    const { lines, scrapes, sink, config } = await bothWriters(t);
    sink.answer = () => ({ status });
    const agent = await startAgent(t, config);
    for (const id of WRITERS) {
      await agent.until(async () => {
        const { flow } = await agent.component(id);
        const dropped = flow.dropped.reduce((sum, each) => sum + each.items, 0);
        return dropped > 10 && flow.state !== "ok" && flow.cause.includes(String(status));
      }, `${id} counts its drops and says ${status}`);
      assert.ok((await agent.metric("alloy_component_dropped_total", { component_id: id }))! > 10);
      await agent.untilLogged(new RegExp(`level=(warn|error).*${id.replaceAll(".", "\\.")}.*${status}`));
    }
    sink.answer = () => ({ status: 204 });
    await agent.until(() => lines.distinct > 10 && scrapes.scrapes.size > 2, "what follows is sent");
    // That something was dropped stays to be seen for some minutes.
    for (const id of WRITERS)
      await agent.until(async () => (await agent.component(id)).flow.state !== "failing", `${id} recovers`);
    assert.equal(await agent.stop(), 0);
  });
}

test("a backend that refuses the credentials gets everything once they are right: a mistake in the set-up loses no data", async (t) => {
  const { pages, lines, scrapes, sink, writer, config } = await bothWriters(t);
  sink.answer = () => ({ status: 401 });
  const agent = await startAgent(t, config);
  for (const id of WRITERS) {
    await agent.until(async () => {
      const { flow } = await agent.component(id);
      return flow.state === "failing" && /401.*credentials/.test(flow.cause);
    }, `${id} says that the credentials are wrong`);
  }
  await agent.until(() => pages.complete > 4, "scrapes go on");
  sink.answer = () => ({ status: 204 });
  await writer.stop();
  await agent.until(() => lines.distinct === writer.written, "every line has come");
  await agent.until(() => pages.missing(scrapes).length === 0, "every scrape has come");
  assert.equal(await agent.stop(), 0);
});
