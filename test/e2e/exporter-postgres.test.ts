import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { type PostgresServer, startPostgres } from "../kit/postgres.ts";
import { freePort, WAIT_MS, waitUntil } from "../kit/process.ts";

const PASSWORD = "pw-4711-Secret";
const SETTINGS = ["shared_preload_libraries = 'pg_stat_statements'", "wal_level = logical"];

const TRUSTED = ["host all monitor 127.0.0.1/32 trust"];

interface Family {
  help: string;
  type: string;
  /** Names of labels, of each kind of sample. */
  readonly labels: Set<string>;
}

function parsePage(text: string): ReadonlyMap<string, Family> {
  const families = new Map<string, Family>();
  const family = (name: string) => {
    let found = families.get(name);
    if (found === undefined) families.set(name, (found = { help: "", type: "", labels: new Set() }));
    return found;
  };
  for (const line of text.split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) family(comment[2]!)[comment[1] === "HELP" ? "help" : "type"] = comment[3]!;
    const sample = /^([\w:]+)(?:\{(.*)\})? \S+$/.exec(line);
    if (sample === null) continue;
    const name = families.has(sample[1]!) ? sample[1]! : sample[1]!.replace(/_(bucket|sum|count)$/, "");
    const labels = [...(sample[2] ?? "").matchAll(/(\w+)="(?:[^"\\]|\\.)+"/g)].map(([, label]) => label!);
    family(name).labels.add(labels.sort().join(","));
  }
  return families;
}

/** The page of the exporter with this label. */
async function page(agent: TestAgent, label = "db"): Promise<string> {
  const response = await agent.api(`/api/v0/component/prometheus.exporter.postgres.${label}/metrics`);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return text;
}

function value(text: string, series: string): number | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

function exporter(label: string, source: string, more = ""): string {
  return `prometheus.exporter.postgres "${label}" {\n  data_source_names = ["${source}"]\n${more}\n}\n`;
}

function prepare(server: PostgresServer): void {
  server.sql(`CREATE ROLE monitor LOGIN PASSWORD '${PASSWORD}' IN ROLE pg_monitor`);
  server.sql("CREATE EXTENSION pg_stat_statements; CREATE TABLE items (id int PRIMARY KEY, name text)");
  server.sql("INSERT INTO items SELECT n, n::text FROM generate_series(1, 1000) n");
  server.sql("VACUUM ANALYZE items");
  server.sql("SELECT pg_create_physical_replication_slot('standby', true)");
}

/** What Debian's version 0.11.1 has and 0.19, the one of Alloy, has no more: columns that nobody had described. */
const GONE = /^(go|process|promhttp)_|^pg_stat_database_(active_time|checksum_.*|idle_in_.*|session.*)$/;
/** What became collectors in between, which have no label `server`. */
const WITHOUT_SERVER = /^pg_(database_size_bytes|locks_count|stat_bgwriter_.*|stat_database_(?!conflicts_).*)$/;

/** How a family differs from the one of Debian's version, beside what is known; undefined if it does not. */
function difference(name: string, own: Family | undefined, theirs: Family): string | undefined {
  if (own === undefined) return "is missing";
  // Settings were described by the server's words, now by their names.
  const help = (text: string) => (name.startsWith("pg_settings_") ? text.replace(/^.*?(?=( \[Units.*)?$)/, "") : text);
  if (own.type !== theirs.type || help(own.help) !== help(theirs.help)) return `${own.type} ${own.help}`;
  if (name === "postgres_exporter_build_info") return undefined; // of another program
  const withoutServer = (labels: string) => labels.replace(/,?\bserver$/, "");
  const expected = [...theirs.labels]
    .filter((each) => each !== "datid,server") // what belongs to no database
    .map((each) => (WITHOUT_SERVER.test(name) ? withoutServer(each) : each));
  return expected.every((labels) => own.labels.has(labels)) ? undefined : `has the labels ${[...own.labels]}`;
}

async function debianPage(t: TestContext, source: string): Promise<string> {
  const port = await freePort();
  const child: ChildProcess = spawn(
    "/usr/bin/prometheus-postgres-exporter",
    [`--web.listen-address=127.0.0.1:${port}`],
    {
      stdio: "ignore",
      env: { ...process.env, DATA_SOURCE_NAME: source },
    },
  );
  cleanUp(t, () => child.kill("SIGKILL"));
  let text: string | undefined;
  const ask = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: "close" } });
    text = await response.text();
  };
  const answers = () =>
    ask().then(
      () => true,
      () => false,
    );
  await waitUntil(answers, WAIT_MS, "the other exporter answers");
  return text!;
}

test("the page has the metrics of Debian's postgres_exporter, and tells of a standby", async (t) => {
  const server = await startPostgres(t, { settings: SETTINGS, access: TRUSTED });
  prepare(server);
  const standby = await startPostgres(t, { primary: server });
  const source = server.dataSource("monitor");
  const all = 'enabled_collectors = ["replication", "stat_wal_receiver", "stat_statements", "process_idle"]';
  const agent = await startAgent(t, exporter("db", source) + exporter("standby", standby.dataSource("monitor"), all));

  const ours = parsePage(await page(agent));
  const theirs = parsePage(await debianPage(t, source));
  const differences = [...theirs]
    .filter(([name]) => !GONE.test(name))
    .map(([name, family]) => [name, difference(name, ours.get(name), family)] as const)
    .filter(([, found]) => found !== undefined);
  assert.deepEqual(differences, []);
  assert.ok(theirs.size > 250 && ours.size > 320, `${theirs.size} ${ours.size}`);

  server.sql("INSERT INTO items SELECT n, n::text FROM generate_series(2000, 3000) n");
  await agent.until(
    async () => (await page(agent, "standby")).includes("pg_stat_wal_receiver_flushed_lsn{"),
    "the log flows",
  );
  const second = await page(agent, "standby");
  assert.equal(value(second, "pg_replication_is_replica"), 1);
  assert.match(
    second,
    /^pg_stat_wal_receiver_latest_end_lsn\{upstream_host="127\.0\.0\.1",slot_name="standby",status="streaming"\} \d+$/m,
  );
  assert.match(second, /^pg_stat_statements_calls_total\{user="monitor",datname="postgres",queryid="-?\d+"\} \d+$/m);
  assert.equal(value(second, 'pg_scrape_collector_success{collector="process_idle"}'), 1);
  const first = await page(agent);
  assert.equal(value(first, "pg_replication_is_replica"), 0);
  assert.match(
    first,
    /^pg_stat_replication_pg_wal_lsn_diff\{server="127\.0\.0\.1:\d+",application_name="walreceiver",.*\} \d+$/m,
  );
  assert.equal(
    value(first, `pg_replication_slots_active{server="127.0.0.1:${server.port}",slot_name="standby",database=""}`),
    1,
  );
  assert.equal(value(first, 'pg_replication_slot_slot_is_active{slot_name="standby",slot_type="physical"}'), 1);
  for (const id of ["db", "standby"]) {
    assert.equal((await agent.component(`prometheus.exporter.postgres.${id}`)).flow.state, "ok");
  }
});

/** A listener that accepts and says nothing. */
async function silentServer(t: TestContext): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as { port: number }).port;
}

function makeCertificate(folder: string, name: string): { readonly certificate: string; readonly key: string } {
  const [certificate, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:db.example,IP:127.0.0.1"];
  const words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  execFileSync("openssl", [...words, "-keyout", key, "-out", certificate, ...subject], { stdio: "ignore" });
  return { certificate, key };
}

test("each way not to get at the metrics has its message, and no password is shown", async (t) => {
  const folder = temporaryFolder(t);
  const { certificate, key } = makeCertificate(folder, "server");
  const other = makeCertificate(folder, "other");
  const server = await startPostgres(t, {
    settings: SETTINGS,
    access: [
      "hostssl all tls_only 127.0.0.1/32 trust",
      "hostnossl all tls_only 127.0.0.1/32 reject",
      "host all monitor,limited 127.0.0.1/32 scram-sha-256",
      "host all old_style 127.0.0.1/32 md5",
      "host all nobody_else 127.0.0.1/32 reject",
    ],
  });
  prepare(server);
  server.sql(`CREATE ROLE limited LOGIN PASSWORD '${PASSWORD}'; CREATE ROLE tls_only LOGIN IN ROLE pg_monitor`);
  server.sql(`SET password_encryption = md5; CREATE ROLE old_style LOGIN PASSWORD '${PASSWORD}' IN ROLE pg_monitor`);
  server.sql("REVOKE CONNECT ON DATABASE template1 FROM PUBLIC");
  const monitor = `monitor:${PASSWORD}`;
  const plain = server.dataSource(monitor);
  const downPort = await freePort();
  const silentPort = await silentServer(t);
  const wrong = `wrong-${PASSWORD}`;
  const tls = (user: string, parameters: string) => server.dataSource(user, "postgres", parameters);
  const sources: Readonly<Record<string, string>> = {
    good: plain,
    keywords: `host=127.0.0.1 port=${server.port} user=monitor password='${PASSWORD}' dbname=postgres sslmode=prefer`,
    socket: `postgresql:///postgres?host=${server.folder}&port=${server.port}&user=postgres`,
    md5: server.dataSource(`old_style:${PASSWORD}`),
    several: `host=127.0.0.1,127.0.0.1 port=${downPort},${server.port} user=monitor password=${PASSWORD} dbname=postgres sslmode=disable target_session_attrs=primary`,
    down: `postgresql://${monitor}@127.0.0.1:${downPort}/postgres?sslmode=disable`,
    unknown_host: `postgresql://${monitor}@nowhere.invalid/postgres?sslmode=disable`,
    silent: `postgresql://${monitor}@127.0.0.1:${silentPort}/postgres?sslmode=disable&connect_timeout=1`,
    password: server.dataSource(`monitor:${wrong}`),
    no_password: server.dataSource("monitor", "postgres", `sslmode=disable&passfile=${folder}/none`),
    database: server.dataSource(monitor, "missing"),
    limited: server.dataSource(`limited:${PASSWORD}`),
    rejected: server.dataSource("nobody_else"),
    plain_to_tls: server.dataSource("tls_only"),
    tls_to_plain: tls(monitor, "sslmode=require"),
    standby: tls(monitor, "sslmode=disable&target_session_attrs=standby"),
  };
  let config = "";
  for (const [label, source] of Object.entries(sources)) config += exporter(label, source);
  const agent = await startAgent(t, config);
  const pages = new Map<string, string>();
  await Promise.all(Object.keys(sources).map(async (label) => void pages.set(label, await page(agent, label))));
  const cause = async (label: string) => (await agent.component(`prometheus.exporter.postgres.${label}`)).flow;

  for (const label of ["good", "keywords", "socket", "md5", "several"]) {
    assert.equal(value(pages.get(label)!, "pg_up"), 1, label);
    assert.equal(value(pages.get(label)!, "pg_exporter_last_scrape_error"), 0, label);
    assert.equal((await cause(label)).state, "ok", label);
  }
  const place = `127.0.0.1:${server.port}`;
  const failures: Readonly<Record<string, string>> = {
    down: `127.0.0.1:${downPort} refuses connections: nothing listens there`,
    unknown_host: "the host nowhere.invalid is unknown",
    silent: `127.0.0.1:${silentPort} did not accept the connection within 1 s: check the address`,
    password: `${place} refuses the password of the role "monitor": check both`,
    no_password: "the server wants a password, and the data source name has none",
    database: `${place} has no database "missing": create it, or name another one`,
    rejected: `${place} refuses the login`,
    plain_to_tls: `${place} refuses the login: pg_hba.conf rejects connection`,
    tls_to_plain: `${place} does not do TLS: set sslmode=disable`,
    standby: `${place} is not what target_session_attrs=standby wants`,
  };
  for (const [label, text] of Object.entries(failures)) {
    const flow = await agent.untilRule(`prometheus.exporter.postgres.${label}`, "servers", "failing");
    assert.ok(flow.cause.includes(text), `${label}: ${flow.cause}`);
    assert.equal(value(pages.get(label)!, "pg_up"), 0, label);
    assert.equal(value(pages.get(label)!, "pg_exporter_last_scrape_error"), 1, label);
  }
  // A role without rights takes away what it may not see, and nothing else.
  const limited = await agent.untilRule("prometheus.exporter.postgres.limited", "queries", "degraded");
  assert.match(limited.cause, /the collector wal on .*permission denied for function pg_ls_waldir: GRANT pg_monitor/);
  assert.match(limited.cause, /the collector database on .*no size for .*template1/);
  assert.equal(value(pages.get("limited")!, "pg_up"), 1);
  assert.equal(value(pages.get("limited")!, 'pg_scrape_collector_success{collector="wal"}'), 0);
  assert.equal(value(pages.get("limited")!, 'pg_scrape_collector_success{collector="locks"}'), 1);
  assert.ok(value(pages.get("limited")!, 'pg_database_size_bytes{datname="postgres"}')! > 0);

  // The same server with TLS.
  server.writeFile("server.crt", execFileSync("cat", [certificate], { encoding: "utf8" }));
  server.writeFile("server.key", execFileSync("cat", [key], { encoding: "utf8" }));
  const lines = `ssl = on\nssl_cert_file = '${server.folder}/server.crt'\nssl_key_file = '${server.folder}/server.key'\n`;
  appendFileSync(join(server.folder, "data", "postgresql.conf"), lines);
  server.sql("SELECT pg_reload_conf()");
  const secure: Readonly<Record<string, string>> = {
    tls_require: tls("tls_only", "sslmode=require"),
    tls_prefer: tls("tls_only", "sslmode=prefer"),
    tls_allow: tls("tls_only", "sslmode=allow"),
    tls_default: tls("tls_only", ""),
    tls_full: tls(monitor, `sslmode=verify-full&sslrootcert=${certificate}`),
    tls_ca: `host=elsewhere.example hostaddr=127.0.0.1 port=${server.port} user=tls_only dbname=postgres sslmode=verify-ca sslrootcert=${certificate}`,
    wrong_name: `host=elsewhere.example hostaddr=127.0.0.1 port=${server.port} user=tls_only dbname=postgres sslmode=verify-full sslrootcert=${certificate}`,
    wrong_ca: tls(monitor, `sslmode=verify-ca&sslrootcert=${other.certificate}`),
    no_ca: tls(monitor, `sslmode=verify-full&sslrootcert=${folder}/missing.crt`),
  };
  config = "";
  for (const [label, source] of Object.entries(secure)) config += exporter(label, source);
  assert.equal((await agent.reload(config)).status, 200);
  for (const label of ["tls_require", "tls_prefer", "tls_allow", "tls_default", "tls_full", "tls_ca"]) {
    await agent.until(async () => value(await page(agent, label), "pg_up") === 1, `${label} is up`);
  }
  const insecure: Readonly<Record<string, RegExp>> = {
    wrong_name: /certificate of elsewhere\.example.* is for other names/,
    wrong_ca: /certificate of 127\.0\.0\.1.*(not trusted|unknown|sign)/i,
    no_ca: /sslrootcert .*missing\.crt cannot be read: there is no such file/,
  };
  for (const [label, text] of Object.entries(insecure)) {
    assert.equal(value(await page(agent, label), "pg_up"), 0, label);
    const flow = await agent.untilRule(`prometheus.exporter.postgres.${label}`, "servers", "failing");
    assert.match(flow.cause, text);
  }
  // A query that nobody waits for any more is ended over TLS too.
  const path = join(folder, "slow.yaml");
  writeFileSync(path, `pg_slow:\n  query: "SELECT pg_sleep(600)::text, 1 AS one"\n`);
  assert.equal(
    (await agent.reload(exporter("slow", secure.tls_full!, `custom_queries_config_path = "${path}"`))).status,
    200,
  );
  await endsWithScrape(agent, server);
  assert.equal(agent.log.includes(PASSWORD), false);
  const shown = JSON.stringify([...pages.values(), await agent.status(), await agent.json("/api/v0/web/components")]);
  assert.equal(shown.includes(PASSWORD), false);
});

/** Scrapes the exporter `slow`, goes away while its query runs, and waits until the server has ended it. */
async function endsWithScrape(agent: TestAgent, server: PostgresServer): Promise<void> {
  const running = () =>
    server.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'");
  const stop = new AbortController();
  const scrape = agent
    .api("/api/v0/component/prometheus.exporter.postgres.slow/metrics", { signal: stop.signal })
    .catch(() => {});
  await agent.until(() => running() === "1", "the query runs");
  stop.abort();
  await scrape;
  await agent.until(() => running() === "0", "the query is ended");
}

const QUERIES = `
pg_items:
  query: "SELECT current_database() AS datname, count(*) AS rows, 'ready'::text AS state FROM items"
  cache_seconds: 3600
  metrics:
    - datname: { usage: LABEL, description: "" }
    - rows: { usage: GAUGE, description: "Rows of items" }
    - state: { usage: MAPPEDMETRIC, description: "State", metric_mapping: { broken: 0, ready: 1 } }
pg_main:
  query: "SELECT 1 AS one"
  master: true
  runonserver: ">=10.0.0"
  metrics:
    - one: { usage: COUNTER, description: "One" }
pg_future:
  query: "SELECT 1 AS never"
  runonserver: ">=99.0.0"
pg_stat_archiver:
  query: ""
`;

test("custom queries, other databases, slow queries and servers that come and go", async (t) => {
  const folder = temporaryFolder(t);
  const server = await startPostgres(t, { settings: SETTINGS, access: TRUSTED });
  prepare(server);
  for (const name of ["app", "secrets"]) {
    server.sql(`CREATE DATABASE ${name}`);
    server.sql("CREATE TABLE items (id int); GRANT SELECT ON items TO monitor", name);
  }
  server.sql("GRANT SELECT ON items TO monitor; ALTER ROLE monitor SET DateStyle = 'German'");
  const path = join(folder, "queries.yaml");
  writeFileSync(path, QUERIES);
  const slow = join(folder, "slow.yaml");
  writeFileSync(slow, `pg_slow:\n  query: "SELECT pg_sleep(600)::text, 1 AS one"\n`);
  const large = join(folder, "large.yaml");
  writeFileSync(large, `pg_large:\n  query: "SELECT repeat('x', 1000) AS text, n FROM generate_series(1, 100000) n"\n`);
  const discovery = 'autodiscovery {\n enabled = true\n database_denylist = ["secrets"]\n}';
  const file = (name: string) => `custom_queries_config_path = "${name}"`;
  const only = "disable_default_metrics = true\n  disable_settings_metrics = true";
  const source = server.dataSource("monitor");
  const agent = await startAgent(
    t,
    exporter("db", source, `${file(path)}\n${discovery}`) +
      exporter("slow", source, `${file(slow)}\n${only}`) +
      exporter("large", source, `${file(large)}\n${only}`) +
      `prometheus.exporter.postgres "twice" {\n data_source_names = ["${source}", "${server.dataSource("monitor", "app")}"]\n ${file(path)}\n}\n`,
  );
  const id = "prometheus.exporter.postgres.db";
  const label = `server="127.0.0.1:${server.port}"`;

  let text = await page(agent);
  assert.equal(value(text, `pg_items_rows{${label},datname="postgres"}`), 1000);
  assert.equal(value(text, `pg_items_rows{${label},datname="app"}`), 0);
  assert.equal(value(text, `pg_items_state{${label},datname="app"}`), 1);
  assert.equal(value(text, `pg_main_one{${label}}`), 1);
  assert.equal(/pg_(database_size_bytes|items_rows)\{.*secrets/.test(text), false);
  assert.equal(/^pg_(future|stat_archiver)_/m.test(text), false);
  assert.match(text, /^pg_exporter_user_queries_load_error\{filename=".*queries\.yaml",hashsum="[0-9a-f]{64}"\} 0$/m);
  assert.equal((await agent.component(id)).flow.state, "ok");
  assert.match(text, /^pg_stat_user_tables_last_vacuum\{.*relname="items"\} 1[78]\d{8}$/m); // German dates notwithstanding
  server.sql("DELETE FROM items");
  assert.equal(value(await page(agent), `pg_items_rows{${label},datname="postgres"}`), 1000); // still cached

  // Both data sources are of one server: what is the server's own comes once, and equal series of a query too.
  text = await page(agent, "twice");
  assert.equal(text.split("\n").filter((line) => line.startsWith("pg_static{")).length, 1);
  assert.equal(text.split("\n").filter((line) => line.startsWith("pg_main_one{")).length, 1);
  await agent.untilRule("prometheus.exporter.postgres.twice", "duplicate_series", "degraded");
  assert.equal(await agent.dropped("prometheus.exporter.postgres.twice", "duplicate_sample"), 1);

  // A slip in the file is told, and what worked goes on; so do the other queries beside one that fails.
  writeFileSync(path, `${QUERIES}pg_broken: [`);
  text = await page(agent);
  assert.equal(value(text, `pg_main_one{${label}}`), 1);
  assert.match(text, /^pg_exporter_user_queries_load_error\{.*\} 1$/m);
  assert.match((await agent.untilRule(id, "custom_queries", "degraded")).cause, /queries\.yaml: .*still in use/);
  writeFileSync(path, `${QUERIES}pg_wrong:\n  query: "SELECT nothing FROM nowhere"\n`);
  text = await page(agent);
  assert.equal(value(text, `pg_main_one{${label}}`), 1);
  assert.equal(value(text, "pg_exporter_last_scrape_error"), 1);
  assert.match(
    (await agent.untilRule(id, "queries", "degraded")).cause,
    /pg_wrong on .*relation "nowhere" does not exist/,
  );
  rmSync(path);
  await page(agent);
  assert.match((await agent.untilRule(id, "custom_queries", "degraded")).cause, /there is no such file/);
  writeFileSync(path, QUERIES);
  await page(agent);
  await agent.untilRule(id, "", "ok");

  // A scraper that gives up ends the query at the server too.
  await endsWithScrape(agent, server);
  assert.match(
    (await agent.component("prometheus.exporter.postgres.slow")).flow.cause,
    /scraper went away .*scrape_timeout/,
  );

  // An answer beyond all bounds costs its connection and nothing else.
  assert.equal(value(await page(agent, "large"), "pg_up"), 1);
  const largeFlow = await agent.untilRule("prometheus.exporter.postgres.large", "queries", "degraded");
  assert.match(largeFlow.cause, /the answer is larger than \d+ bytes/);

  // A server that restarts is asked on a new connection at once, one that is down shows as that.
  server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'monitor'");
  assert.equal(value(await page(agent), "pg_up"), 1);
  await server.stop();
  assert.equal(value(await page(agent), "pg_up"), 0);
  await agent.untilRule(id, "servers", "failing");
  await server.start();
  assert.equal(value(await page(agent), "pg_up"), 1);
  await agent.untilRule(id, "", "ok");
});
