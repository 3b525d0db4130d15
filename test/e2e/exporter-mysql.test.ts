import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { COLLECTORS } from "#components/prometheus.exporter.mysql/collectors";
import { createAuthority } from "#kits/certificates.testing";
import { MysqlConnection } from "#kits/mysql-connection";
import { parseMysqlDsn } from "#kits/mysql-dsn";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { assertSamePage, type PageDifferences, seriesOf } from "../kit/exporter-page.ts";
import { TestMariadb } from "../kit/mariadb-server.ts";
import { freePort, WAIT_MS, waitUntil } from "../kit/process.ts";

/** `prometheus.exporter.mysql` against real servers, beside Debian's prometheus-mysqld-exporter. */

const PEER = "/usr/bin/prometheus-mysqld-exporter";
/** Debian's exporter does not have it yet. */
const NEW = "sys.user_summary";

const id = (label: string) => `prometheus.exporter.mysql.${label}`;

const exporter = (label: string, dsn: string, more = "") => `prometheus.exporter.mysql "${label}" {
  data_source_name = "${dsn}"
  ${more}
}
`;

async function pageOf(agent: TestAgent, label: string): Promise<string> {
  const response = await agent.api(`/api/v0/component/${id(label)}/metrics`);
  assert.equal(response.status, 200);
  return response.text();
}

async function startPeer(t: TestContext, dsn: string, args: readonly string[]): Promise<() => Promise<string>> {
  const address = `127.0.0.1:${await freePort()}`;
  const environment = { ...process.env, DATA_SOURCE_NAME: dsn };
  const child = spawn(PEER, [`--web.listen-address=${address}`, ...args], { stdio: "ignore", env: environment });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  cleanUp(t, async () => {
    child.kill("SIGKILL");
    await gone;
  });
  const page = async () => (await fetch(`http://${address}/metrics`)).text();
  const answers = () =>
    page().then(
      () => true,
      () => false,
    );
  await waitUntil(answers, WAIT_MS, "the other exporter answers");
  return page;
}

/** Debian has mysqld_exporter 0.14, Alloy 0.18. */
const SINCE_0_14: PageDifferences = {
  series: [
    [/^(go_|process_|promhttp_|mysqld_exporter_build_info)/, "what the programs say about themselves"],
    [/^mysql_exporter_/, "had other names"],
    [/^mysql_sys_/, "is new"],
    [/^mysql_perf_schema_events_statements_(cpu_time|latency|lock_time)/, "are new"],
    [/^mysql_info_schema_innodb_tablespace_/, "failed on MariaDB since 10.5"],
    [/^mysql_info_schema_table_.*schema="sys"/, "counted the schema sys as one of the user's"],
  ],
  moving:
    /duration|seconds|bytes|time|uptime|handlers|rows|tmp|queries|questions|global_status|innodb_metrics|events|statistics|waits|file_|memory|processlist|heartbeats/,
};

const GTIDS: PageDifferences["series"][number] = [/^mysql_slave_status_gtid_(io|slave)_pos/, "are new"];

const OPTIONS = ["--performance-schema=ON", "--performance-schema-instrument=%=ON", "--log-bin=bin"];

function isThere(replica: TestMariadb): boolean {
  return replica.run("SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'heartbeat'").trim() === "1";
}

suite("prometheus.exporter.mysql", { concurrency: 2 }, () => {
  test("names, types, help, labels and values are those of Debian's mysqld_exporter", async (t) => {
    const [primary, replica] = (await TestMariadb.start(
      t,
      [...OPTIONS, "--server-id=7", "--userstat=1"],
      [...OPTIONS, "--server-id=8", "--report-host=replica"],
    )) as [TestMariadb, TestMariadb];
    primary.run(`CREATE USER exporter@'%' IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO exporter@'%';
      CREATE DATABASE shop; CREATE TABLE shop.t (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, a VARCHAR(10), KEY (a));
      INSERT INTO shop.t (a) VALUES ('x'), ('y'); CREATE VIEW shop.v AS SELECT * FROM shop.t;
      USE shop; SELECT * FROM v;
      CREATE DATABASE heartbeat; CREATE TABLE heartbeat.heartbeat (ts VARCHAR(26), server_id INT UNSIGNED PRIMARY KEY);
      INSERT INTO heartbeat.heartbeat VALUES (NOW(6), 7);
      INSTALL SONAME 'query_response_time'; SET GLOBAL query_response_time_stats = 1;`);
    replica.run(`CHANGE MASTER 'main' TO MASTER_HOST='127.0.0.1', MASTER_PORT=${primary.port}, MASTER_USER='exporter',
      MASTER_PASSWORD='secret', MASTER_USE_GTID=slave_pos; START SLAVE 'main';`);
    const follows = () => replica.run("SELECT COUNT(*) FROM mysql.gtid_slave_pos").trim() !== "0" && isThere(replica);
    await waitUntil(follows, WAIT_MS, "the replica follows");

    const servers = { primary, replica };
    const collectors = COLLECTORS.map(({ name }) => name);
    const dsn = (port: number) => `exporter:secret@tcp(127.0.0.1:${port})/`;
    const agent = await startAgent(
      t,
      Object.entries(servers)
        .map(([label, { port }]) =>
          exporter(
            label,
            dsn(port),
            `set_collectors = ${JSON.stringify(collectors)}
            mysql.user {
              privileges = true
            }
            perf_schema.file_instances {
              remove_prefix = "/var/lib/mysql/"
            }`,
          ),
        )
        .join(""),
    );
    for (const [label, { port }] of Object.entries(servers)) {
      const theirs = await startPeer(t, dsn(port), [
        "--collect.mysql.user.privileges",
        ...collectors.filter((name) => name !== NEW).map((name) => `--collect.${name}`),
      ]);
      await pageOf(agent, label);
      await theirs(); // both have asked everything once
      const series = [...SINCE_0_14.series, ...(label === "replica" ? [GTIDS] : [])];
      assertSamePage(await pageOf(agent, label), await theirs(), { ...SINCE_0_14, series });
      const samples = seriesOf(await pageOf(agent, label));
      const failed = collectors.filter((name) => {
        return samples.get(`mysql_exporter_collector_success{collector="collect.${name}"}`)?.value !== 1;
      });
      // What MySQL has and MariaDB has not.
      const missing = [
        ...["engine_tokudb_status", "perf_schema.replication_applier_status_by_worker"],
        ...["perf_schema.replication_group_member_stats", "perf_schema.replication_group_members"],
      ];
      assert.deepEqual(failed.sort(), missing);
      assert.match(
        (await agent.component(id(label))).flow.cause,
        /Unknown storage engine 'TOKUDB'; disable the collector/,
      );
    }
  });

  test("each way to fail has its own message, and no password is shown", async (t) => {
    const authority = createAuthority();
    const folder = temporaryFolder(t);
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const tls = (name: string, names: readonly string[]) => {
      const issued = authority.issue({ names });
      return [`--ssl-cert=${file(`${name}-cert`, issued.cert)}`, `--ssl-key=${file(`${name}-key`, issued.key)}`];
    };
    const [secured, plain, elsewhere] = (await TestMariadb.start(
      t,
      tls("own", ["localhost", "127.0.0.1"]),
      ["--skip-ssl"],
      [...tls("other", ["db.example.com", "10.0.0.1"]), "--require-secure-transport=ON"],
    )) as [TestMariadb, TestMariadb, TestMariadb];
    const users = `CREATE USER exporter@'%' IDENTIFIED BY 'top-secret'; GRANT ALL ON *.* TO exporter@'%';
      CREATE USER low@'%' IDENTIFIED BY 'low-secret'; CREATE USER locked@'%' IDENTIFIED BY 'top-secret' ACCOUNT LOCK;
      CREATE USER few@'%' IDENTIFIED BY 'top-secret' WITH MAX_USER_CONNECTIONS 1;`;
    for (const server of [secured, plain, elsewhere]) server.run(users);
    const login = "exporter:top-secret@";
    const at = (server: TestMariadb, rest = "/") => `${login}tcp(127.0.0.1:${server.port})${rest}`;
    const nobody = await freePort();
    const cases: readonly (readonly [label: string, dsn: string, more: string, state: string, cause: RegExp])[] = [
      ["plain", at(plain), "", "ok", /^$/],
      ["socket", `${login}unix(${plain.socket})/mysql?charset=utf8&timeout=30s&sql_mode=%27%27`, "", "ok", /^$/],
      ["compressed", at(plain, "/?compress=true&readTimeout=60s"), "log_slow_filter = true", "ok", /^$/],
      ["verified", `${login}tcp(localhost:${secured.port})/?tls=true`, "", "ok", /^$/],
      ["verified_address", at(secured, "/?tls=true"), "", "ok", /^$/],
      ["unverified", at(elsewhere, "/?tls=skip-verify"), "", "ok", /^$/],
      ["preferred", at(elsewhere, "/?tls=preferred"), "", "ok", /^$/],
      ["preferred_without", at(plain, "/?tls=preferred"), "", "ok", /^$/],
      [
        "other_name",
        `${login}tcp(localhost:${elsewhere.port})/?tls=true`,
        "",
        "failing",
        /is for other names: localhost is not/,
      ],
      ["other_address", at(elsewhere, "/?tls=true"), "", "failing", /is for other names: 127\.0\.0\.1 is not/],
      ["no_tls", at(plain, "/?tls=true"), "", "failing", /has no TLS: remove tls=true from data_source_name/],
      [
        "wants_tls",
        at(elsewhere),
        "",
        "failing",
        /refuses the login of exporter: .*or the server wants TLS \(tls=true\)/,
      ],
      [
        "wrong",
        `exporter:bad-secret@tcp(127.0.0.1:${plain.port})/`,
        "",
        "failing",
        /refuses the login of exporter: user and/,
      ],
      ["nobody", `${login}tcp(127.0.0.1:${nobody})/`, "", "failing", /refuses connections: nothing listens there/],
      ["unknown", `${login}tcp(no-such-host.invalid)/`, "", "failing", /no-such-host\.invalid/],
      [
        "no_socket",
        `${login}unix(/nowhere.sock)/`,
        "",
        "failing",
        /the socket \/nowhere\.sock cannot be used: it does not exist/,
      ],
      ["no_database", at(plain, "/nowhere"), "", "failing", /has no such database: leave it out/],
      ["locked", `locked:top-secret@tcp(127.0.0.1:${plain.port})/`, "", "failing", /has locked the account of locked/],
      ["variable", at(plain, "/?no_such_variable=1"), "", "failing", /does not know a variable.*no_such_variable/],
      [
        "rights",
        `low:low-secret@tcp(127.0.0.1:${plain.port})/`,
        "",
        "degraded",
        /slave_status: the user may not ask for it: .*grant the right/,
      ],
      [
        "locked_table",
        at(plain),
        'enable_collectors = ["heartbeat"]\nlock_wait_timeout = 1',
        "degraded",
        /heartbeat: it waited for a lock longer than lock_wait_timeout/,
      ],
      [
        "impatient",
        at(plain, "/?readTimeout=3s"),
        'enable_collectors = ["heartbeat", "mysql.user"]\nenable_lock_wait_timeout = false',
        "degraded",
        /^heartbeat: the answer took longer than the readTimeout of data_source_name$/,
      ],
      [
        "table",
        at(plain),
        'enable_collectors = ["heartbeat"]\nheartbeat {\n database = "nowhere"\n }',
        "degraded",
        /heartbeat: the server does not have it: .*disable the collector/,
      ],
    ];
    const { signal } = new AbortController();
    using holder = await MysqlConnection.open(parseMysqlDsn(at(plain)), signal);
    await holder.query("CREATE DATABASE heartbeat");
    await holder.query("CREATE TABLE heartbeat.heartbeat (ts VARCHAR(26), server_id INT)");
    await holder.query("LOCK TABLES heartbeat.heartbeat WRITE");
    const verify = { NODE_EXTRA_CA_CERTS: file("ca", authority.cert) };
    const agent = await startAgent(t, cases.map(([label, dsn, more]) => exporter(label, dsn, more)).join(""), {
      environment: verify,
    });
    const pages = await Promise.all(cases.map(([label]) => pageOf(agent, label)));
    for (const [i, [label, , , state, cause]] of cases.entries()) {
      const { flow } = await agent.component(id(label));
      assert.match(flow.cause, cause, `${label}: ${flow.cause}`);
      const rule = { ok: "", failing: "connection", degraded: "collectors" }[state];
      assert.deepEqual([flow.state, flow.rule], [state, rule], label);
      assert.equal(seriesOf(pages[i]!).get("mysql_up{}")?.value, state === "failing" ? 0 : 1, label);
    }
    assert.equal(
      await agent.metric("prometheus_exporter_mysql_failures_total", {
        component_id: id("rights"),
        collector: "slave_status",
      }),
      1,
    );

    const impatient = seriesOf(pages[cases.findIndex(([label]) => label === "impatient")]!);
    const succeeded = (name: string) =>
      impatient.get(`mysql_exporter_collector_success{collector="collect.${name}"}`)?.value;
    assert.deepEqual([succeeded("heartbeat"), succeeded("mysql.user")], [0, 1]);

    // A server that stops answering, and one that is there again.
    plain.signal("SIGSTOP");
    await agent.until(async () => {
      const signal = AbortSignal.timeout(300);
      await assert.rejects(agent.api(`/api/v0/component/${id("plain")}/metrics`, { signal }));
      return (await agent.component(id("plain"))).flow.rule === "connection";
    }, "the server that stopped is told of");
    const { cause } = await agent.untilRule(id("plain"), "connection", "failing");
    assert.match(
      cause,
      /had not answered at all when the scrape was given up: see whether it is MySQL, and how busy it is/,
    );
    plain.signal("SIGCONT");
    await agent.until(
      async () => seriesOf(await pageOf(agent, "plain")).get("mysql_up{}")?.value === 1,
      "all is well when the server answers again",
    );
    const shown = [agent.log, ...pages, JSON.stringify(await agent.status())].join("\n");
    assert.doesNotMatch(shown, /(top|low|bad)-secret/);
  });
});
