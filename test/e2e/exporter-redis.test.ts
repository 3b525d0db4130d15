import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { createAuthority } from "#kits/certificates.testing";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { assertSamePage, type PageDifferences, seriesOf } from "../kit/exporter-page.ts";
import { freePort, WAIT_MS, waitUntil } from "../kit/process.ts";
import { TestRedis } from "../kit/redis-server.ts";

/** `prometheus.exporter.redis` against real servers, beside Debian's prometheus-redis-exporter. */

const PEER = "/usr/bin/prometheus-redis-exporter";

const id = (label: string) => `prometheus.exporter.redis.${label}`;

async function pageOf(agent: TestAgent, label: string): Promise<string> {
  const response = await agent.api(`/api/v0/component/${id(label)}/metrics`);
  assert.equal(response.status, 200);
  return response.text();
}

async function startPeer(t: TestContext, args: readonly string[]): Promise<() => Promise<string>> {
  const port = await freePort();
  const child = spawn(PEER, ["-web.listen-address", `127.0.0.1:${port}`, ...args], { stdio: "ignore" });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  cleanUp(t, async () => {
    child.kill("SIGKILL");
    await gone;
  });
  const page = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  await waitUntil(
    () =>
      page().then(
        () => true,
        () => false,
      ),
    WAIT_MS,
    "the other exporter answers",
  );
  return page;
}

const exporter = (label: string, address: string, more = "") => `prometheus.exporter.redis "${label}" {
  redis_addr = "${address}"
  ${more}
}
`;

/** Debian has redis_exporter 1.45, Alloy 1.86. */
const SINCE_1_45: PageDifferences = {
  series: [
    [/^(go_|process_|promhttp_|redis_exporter_build_info)/, "what the programs say about themselves"],
    [/^redis_db_keys(_expiring)?\{db="db\d+"\}/, "databases without keys were shown"],
    [/^redis_instance_info\{/, "has more labels"],
    [/^redis_connected_client(s_details|_)/, "clients were described by one metric"],
    [/^redis_script_/, "scripts had no file name and no result"],
    [/^redis_stream_(group_(entries_read|lag)|(first|last|max_deleted)_entry_id)\{/, "are new"],
    [/^redis_key_memory_usage_bytes\{/, "is new"],
    [/^redis_(commands_latencies_usec|config_(client_output_buffer_limit|repl_backlog))_/, "are new"],
    [
      /^redis_(async_loading|(configured_)?hz|lazyfreed_objects|max_clients|pubsubshard_channels|rdb_saves_total)\{/,
      "are new",
    ],
    [/^redis_(current_)?(evicted_clients|eviction_exceeded_time|expire_cycle_cpu_time)_/, "are new"],
    [/^redis_mem_(aof|cluster|replication|total_replication)_/, "are new"],
    [/^redis_(memory_used_(functions|scripts|vm)|net_repl|number_of|rdb_last_load|reply_buffer)_/, "are new"],
  ],
  texts: [[/^redis_expired_time_cap_reached_total$/, "was a gauge"]],
  moving:
    /duration|usec|cpu_|memory|mem_|allocator|net_|uptime|idle|scrape|commands_|slowlog|eventloop|reads|writes|connections|error|created_at|clients|rdb_changes|slow|keyspace|instantaneous|frag|recent_max|avg_ttl/,
};

suite("prometheus.exporter.redis", { concurrency: 4 }, () => {
  test("names, types, help, labels and values are those of Debian's redis_exporter", async (t) => {
    const redis = await TestRedis.start(t);
    await redis.run(
      ...[
        "SET n 42",
        "SET text hello",
        "PFADD visitors a b c",
        "RPUSH jobs 1 2",
        "SADD s a",
        "ZADD z 1 a",
        "HSET h f v",
      ],
      ...["XADD orders * f v", "XGROUP CREATE orders g 0", "XREADGROUP GROUP g c1 STREAMS orders >"],
      ...["SELECT 3", "RPUSH later 1 2 3", "SET user:1 a EX 1000", "SET user:2 b"],
    );
    const script = join(redis.folder, "script.lua");
    writeFileSync(script, 'return {"answer", "42", "keys", tostring(redis.call("DBSIZE"))}');
    const lists = { "check-keys": ["n*", "db3=user:*"], "count-keys": ["*", "db3=user:*"], "check-streams": ["ord*"] };
    const singles = { "check-single-keys": ["text", "jobs", "visitors", "s", "z", "h", "orders", "missing"] };
    const args = Object.entries({ ...lists, ...singles, "check-key-groups": ["^(user):"] });
    const agent = await startAgent(
      t,
      exporter(
        "all",
        redis.address,
        `${args.map(([name, value]) => `${name.replaceAll("-", "_")} = ${JSON.stringify(value)}`).join("\n")}
        script_path = "${script}"
        export_client_list = true
        incl_system_metrics = true
        ping_on_connect = true`,
      ),
    );
    const theirs = await startPeer(t, [
      ...["-redis.addr", redis.address, "-script", script, "-export-client-list", "-include-system-metrics"],
      ...["-ping-on-connect", ...args.flatMap(([name, value]) => [`-${name}`, value.join()])],
    ]);
    await theirs();
    await pageOf(agent, "all"); // both have asked everything once, so that the server knows the same commands
    assertSamePage(await pageOf(agent, "all"), await theirs(), SINCE_1_45);
    assert.equal((await agent.component(id("all"))).flow.state, "ok");
  });

  test("keys of a cluster are found on all of its nodes", async (t) => {
    const nodes = await Promise.all(
      [1, 2, 3].map(async () => {
        const bus = await freePort();
        const redis = await TestRedis.start(t, [
          ...["--cluster-enabled", "yes", "--cluster-port", String(bus)],
          // Nodes ask each other often, and go on without the one that the test ends.
          ...["--cluster-node-timeout", "3000", "--cluster-require-full-coverage", "no"],
        ]);
        return { redis, bus };
      }),
    );
    const [first, ...others] = nodes;
    const ranges = ["0 5460", "5461 10922", "10923 16383"];
    await Promise.all(nodes.map(({ redis }, i) => redis.run(`CLUSTER ADDSLOTSRANGE ${ranges[i]}`)));
    await first!.redis.run(...others.map(({ redis, bus }) => `CLUSTER MEET 127.0.0.1 ${redis.port} ${bus}`));
    await Promise.all(nodes.map(({ redis }) => redis.untilAnswer(["CLUSTER", "INFO"], /cluster_state:ok/)));
    // Their slots are on the first, the third and the second node, in this order.
    for (const [i, key] of ["bar", "foo", "hello"].entries()) await nodes[[0, 2, 0][i]!]!.redis.run(`SET ${key} ${i}`);
    await nodes[1]!.redis.run("XADD world * f v");
    const agent = await startAgent(
      t,
      exporter(
        "cluster",
        first!.redis.address,
        `is_cluster = true
        check_keys = ["*o*"]
        check_single_keys = ["bar"]
        count_keys = ["*"]
        check_single_streams = ["world"]
        check_key_groups = ["^(.*)o"]`,
      ),
    );
    const series = seriesOf(await pageOf(agent, "cluster"));
    const value = (key: string) => series.get(`redis_${key}`)?.value;
    assert.equal(value("cluster_known_nodes{}"), 3);
    for (const [i, key] of ["bar", "foo", "hello"].entries())
      assert.equal(value(`key_value{db="db0",key="${key}"}`), i);
    assert.equal(value('keys_count{db="db0",key="*"}'), 4);
    assert.equal(value('stream_length{db="db0",stream="world"}'), 1);
    assert.equal(value('number_of_distinct_key_groups{db="db0"}'), 4);
    const { flow } = await agent.component(id("cluster"));
    assert.deepEqual([flow.state, flow.cause], ["ok", ""]);
    others[1]!.redis.signal("SIGKILL");
    await agent.until(async () => {
      await pageOf(agent, "cluster");
      return (await agent.component(id("cluster"))).flow.rule === "commands";
    }, "a node that is gone is said");
    const { cause } = (await agent.component(id("cluster"))).flow;
    assert.match(cause, /CLUSTER: a node of the cluster is left out: 127\.0\.0\.1:\d+ refuses connections/);
  });

  test("replicas and Sentinels are described as Debian's redis_exporter does", async (t) => {
    const primary = await TestRedis.start(t);
    const replica = await TestRedis.start(t, ["--replicaof", "127.0.0.1", String(primary.port)]);
    const sentinel = await TestRedis.start(t, ["--sentinel"], `sentinel monitor main 127.0.0.1 ${primary.port} 1\n`);
    await replica.untilAnswer(["INFO", "replication"], /master_link_status:up/);
    await sentinel.untilAnswer(["INFO", "sentinel"], /status=ok,.*slaves=1/);
    const servers = { primary, replica, sentinel };
    const agent = await startAgent(
      t,
      Object.entries(servers)
        .map(([label, { address }]) => exporter(label, address))
        .join(""),
    );
    for (const [label, redis] of Object.entries(servers)) {
      const theirs = await startPeer(t, ["-redis.addr", redis.address]);
      const wanted = /^redis_(slave|master|connected_slave|sentinel|replica_|second_repl|up)/;
      const keep = (page: Map<string, { type: string; help: string | undefined }>) =>
        [...page]
          .filter(([key]) => wanted.test(key))
          .map(([key, { type, help }]) => `${key} ${type} ${help}`)
          .sort();
      const [our, their] = [keep(seriesOf(await pageOf(agent, label))), keep(seriesOf(await theirs()))];
      const isNew = /sentinel_master_(config_epoch|last_ok_ping)|sentinel_master_setting/;
      assert.deepEqual(
        our.filter((line) => !isNew.test(line)),
        their.filter((line) => !isNew.test(line)),
      );
      assert.ok(our.length > (label === "primary" ? 5 : 9), our.join("\n"));
      assert.equal((await agent.component(id(label))).flow.state, "ok");
    }
  });

  test("each way to fail has its own message, and no password is shown", async (t) => {
    const authority = createAuthority();
    const issued = authority.issue({});
    const folder = temporaryFolder(t);
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const [ca, cert, key] = [file("ca", authority.cert), file("cert", issued.cert), file("key", issued.key)];
    const users = "user default on >top-secret ~* +@all\nuser low on >low-secret ~* +info\n";
    const plain = await TestRedis.start(t, [], users);
    const open = await TestRedis.start(t);
    const stopped = await TestRedis.start(t);
    const tlsPort = await freePort();
    await TestRedis.start(t, [
      ...["--tls-port", String(tlsPort), "--port", "0", "--tls-cert-file", cert, "--tls-key-file", key],
      ...["--tls-ca-cert-file", ca, "--tls-auth-clients", "yes"],
    ]);
    const tls = `rediss://localhost:${tlsPort}`;
    const own = `tls_client_cert_file = "${cert}"\ntls_client_key_file = "${key}"`;
    const nobody = `127.0.0.1:${await freePort()}`;
    const map = file("map", JSON.stringify({ [`redis://default@${plain.address}`]: "top-secret" }));
    const cases: readonly (readonly [label: string, address: string, more: string, state: string, cause: RegExp])[] = [
      ["password", plain.address, 'redis_password = "top-secret"', "ok", /^$/],
      ["password_file", plain.address, `redis_password_file = "${file("pw", "top-secret\n")}"`, "ok", /^$/],
      ["password_map", plain.address, `redis_user = "default"\nredis_password_map_file = "${map}"`, "ok", /^$/],
      ["address", `redis://:top-secret@${plain.address}/3`, "", "ok", /^$/],
      ["mutual_tls", tls, `tls_ca_cert_file = "${ca}"\n${own}`, "ok", /^$/],
      ["unverified", tls, `skip_tls_verification = true\n${own}`, "ok", /^$/],
      ["no_password", plain.address, "", "failing", /wants a password: set redis_password/],
      ["wrong", plain.address, 'redis_password = "bad-secret"', "failing", /refuses the login.*check redis_user/],
      ["needless", open.address, 'redis_password = "top-secret"', "failing", /has no password, and was given one/],
      ["map_without", plain.address, `redis_password_map_file = "${map}"`, "failing", /wants a password/],
      ["map_broken", plain.address, `redis_password_map_file = "${ca}"`, "failing", /map_file is not JSON/],
      [
        "file_missing",
        plain.address,
        'redis_password_file = "/nowhere"',
        "failing",
        /redis_password_file \/nowhere: it does not exist/,
      ],
      ["nobody", nobody, "", "failing", /refuses connections: nothing listens there/],
      ["unknown", "no-such-host.invalid", "", "failing", /no-such-host\.invalid/],
      [
        "no_socket",
        "unix:///nowhere.sock",
        "",
        "failing",
        /the socket \/nowhere\.sock cannot be used: it does not exist/,
      ],
      ["plain_to_tls", `localhost:${tlsPort}`, "", "failing", /if it wants TLS, use rediss:\/\/ in redis_addr/],
      [
        "tls_to_plain",
        `rediss://${open.address}`,
        'connection_timeout = "1s"',
        "failing",
        /does not answer in TLS: use redis:/,
      ],
      ["untrusted", tls, own, "failing", /not signed by a trusted authority.*set tls_ca_cert_file/],
      [
        "no_certificate",
        tls,
        `tls_ca_cert_file = "${ca}"`,
        "failing",
        /asks for a client certificate, set tls_client_cert_file/,
      ],
      [
        "stopped",
        stopped.address,
        'connection_timeout = "1s"',
        "failing",
        /does not answer \(no answer within 1 seconds\)/,
      ],
      [
        "rights",
        plain.address,
        'redis_user = "low"\nredis_password = "low-secret"',
        "degraded",
        /CONFIG: the server refuses it: NOPERM.*config_command = "-"/,
      ],
      [
        "script",
        open.address,
        `script_paths = ["${ca}", "/nowhere"]`,
        "degraded",
        /script: .*ca fails: ERR Error compiling script/,
      ],
      [
        "pattern",
        open.address,
        'check_key_groups = ["(a"]',
        "degraded",
        /the pattern \(a is not valid: unfinished capture/,
      ],
      ["database", open.address, 'check_keys = ["db99=*"]', "degraded", /check_keys: the server refuses database 99/],
      [
        "no_stream",
        open.address,
        'check_single_streams = ["s"]',
        "degraded",
        /XINFO: the server refuses it: ERR no such key \(the stream s\)/,
      ],
    ];
    await open.run("SET a 1");
    stopped.signal("SIGSTOP");
    const agent = await startAgent(t, cases.map(([label, address, more]) => exporter(label, address, more)).join(""));
    const pages = await Promise.all(cases.map(([label]) => pageOf(agent, label)));
    for (const [i, [label, , , state, cause]] of cases.entries()) {
      const { flow } = await agent.component(id(label));
      assert.match(flow.cause, cause, `${label}: ${flow.cause}`);
      const rule = { ok: "", failing: "connection", degraded: "commands" }[state];
      assert.deepEqual([flow.state, flow.rule], [state, rule], label);
      assert.equal(seriesOf(pages[i]!).get("redis_up{}")?.value, state === "failing" ? 0 : 1, label);
    }
    assert.equal(await agent.metric("prometheus_exporter_redis_failures_total", { component_id: id("nobody") }), 1);
    const shown = [agent.log, ...pages, JSON.stringify(await agent.status())].join("\n");
    assert.doesNotMatch(shown, /(top|low|bad)-secret/);

    stopped.signal("SIGCONT");
    await agent.until(async () => {
      await pageOf(agent, "stopped");
      return (await agent.component(id("stopped"))).flow.state === "ok";
    }, "all is well when the server answers again");
  });
});
