import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import exporter from "#components/otelcol.exporter.kafka/otelcol.exporter.kafka";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { acknowledged, startComponent } from "#pipeline/testing";
import { startAgent } from "../kit/agent.ts";
import { KAFKA_GUEST, KAFKA_LOGIN_MS, KAFKA_PASSWORD, KAFKA_USER, KafkaBroker } from "../kit/kafka-broker.ts";
import { KafkaTestClient } from "../kit/kafka-client.ts";
import { SEQUENCE_MARKER } from "../kit/log-writer.ts";
import { freePort, sleep, WAIT_MS } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

const KILLS = 2;

/** One broker for all tests of the file: it takes longer to start than they do to run. */
test("Kafka", { concurrency: 3, timeout: 600_000 }, async (t) => {
  const broker = await KafkaBroker.start(t);
  let client = await KafkaTestClient.connect(broker.address);
  cleanUp(t, () => client.close());

  /** Writes numbered messages until it is told to stop, over restarts of the broker. */
  function startWriter(topic: string, partitions: number) {
    const writer = { written: 0, stop: async () => {} };
    let writing = true;
    const ended = (async () => {
      for (let round = 0; writing; round++) {
        const messages = Array.from({ length: 20 }, (_, i) => ({
          value: `message ${SEQUENCE_MARKER}${writer.written + i} of many`,
        }));
        try {
          await client.produce(topic, round % partitions, messages);
          writer.written += messages.length;
        } catch {
          // The broker is away; what it may have taken comes twice.
          await sleep(50);
        }
        await sleep(10);
      }
    })();
    writer.stop = () => {
      writing = false;
      return ended;
    };
    return writer;
  }

  async function startSink(s: TestContext) {
    const counter = new SequenceCounter();
    const sink = await Sink.start((_path, body) => void countSequences(body, SEQUENCE_MARKER, counter));
    cleanUp(s, () => sink.stop());
    return { counter, sink };
  }

  /** An exporter to one partition, which is handed numbers until it is told to stop; all of them are safe then. */
  async function startExporting(s: TestContext) {
    await client.createTopic("exported", 1);
    const component = await startComponent(
      exporter,
      `protocol_version = "3.0.0"
       brokers = ["${broker.address}"]
       logs {
         topic    = "exported"
         encoding = "raw"
       }
       sending_queue {
         num_consumers = 1
         queue_size    = 100000
       }
       retry_on_failure {
         initial_interval = "100ms"
         max_interval     = "500ms"
       }`,
    );
    cleanUp(s, () => component.stop(1_000));
    const numbers: string[] = [];
    let safe = 0;
    let sending = true;
    const ended = (async () => {
      for (; sending; await sleep(50)) {
        const bytes = oracleEncode("logs", {
          resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { intValue: numbers.length } }] }] }],
        });
        numbers.push(String(numbers.length));
        const base = { signal: "otlp", kind: "logs", parts: [bytes], items: 1, bytes: bytes.length } as const;
        const acknowledgement = new Acknowledgement(() => void (safe += 1));
        const batch = { ...base, clientMetadata: undefined, acknowledgement };
        await component.exports.input.consume(batch, new AbortController().signal);
      }
    })();
    await until(() => safe > 3, "some are sent");
    return {
      stop: async () => {
        sending = false;
        await ended;
        await until(
          () => safe === numbers.length,
          () => JSON.stringify(component.flow.status),
          WAIT_MS,
        );
        assert.equal(component.flow.dropped.size, 0);
        return numbers;
      },
    };
  }

  function source(topics: readonly string[], group: string, more = ""): string {
    return `loki.source.kafka "in" {
  brokers    = ["${broker.address}"]
  topics     = ${JSON.stringify(topics)}
  group_id   = "${group}"
  labels     = { job = "kafka" }
  forward_to = [loki.write.out.receiver]
  ${more}
}
`;
  }
  function write(url: string): string {
    return `loki.write "out" {
  endpoint {
    url                 = "${url}/loki/api/v1/push"
    batch_wait          = "100ms"
    min_backoff_period  = "50ms"
    max_backoff_period  = "300ms"
    max_backoff_retries = 0
  }
}
`;
  }

  await t.test("no message is lost: kill -9 in a loop, a backend that fails, a broker that restarts", async (s) => {
    await client.createTopic("numbered", 2);
    const { counter, sink } = await startSink(s);
    let requests = 0;
    sink.answer = () => ({ status: requests++ % 5 === 3 ? 500 : 204 });
    const agent = await startAgent(s, source(["numbered"], "kill-group") + write(sink.url));
    const writer = startWriter("numbered", 2);
    cleanUp(s, () => writer.stop());
    for (let kill = 0; kill < KILLS; kill++) {
      const before = counter.distinct;
      await agent.until(() => counter.distinct > before + 300, `messages come in life ${kill}`);
      await sleep(Math.random() * 300);
      await agent.kill();
      await agent.start();
    }
    const before = counter.distinct;
    await agent.until(() => counter.distinct > before + 300, "messages come before the broker goes");
    const exported = await startExporting(s);
    await broker.kill();
    client.close();
    const { cause } = await agent.untilRule("loki.source.kafka.in", "connection", "failing");
    assert.match(cause, /refuses connections|closed the connection/);
    await broker.restart();
    client = await KafkaTestClient.connect(broker.address);
    const back = counter.distinct;
    await agent.until(() => counter.distinct > back + 300, "messages come again");
    const sent = await exported.stop();
    const arrived = new Set((await client.read("exported", 0)).map(({ value }) => value.toString()));
    assert.deepEqual([...arrived], sent, "what an exporter took before, meanwhile and after is there, in order");
    await writer.stop();
    await agent
      .until(() => counter.distinct >= writer.written, "every message has come")
      .catch((error) => {
        throw new Error(`${writer.written - counter.distinct} of ${writer.written} messages lost\n${error}`);
      });
    await agent.untilRule("loki.source.kafka.in", "", "ok");
    assert.equal(await agent.stop(), 0);
    s.diagnostic(
      `${writer.written} messages, ${KILLS} kills and a restart of the broker, ${counter.duplicated} duplicates`,
    );
    const duplicates = counter.duplicated;
    await agent.start();
    await client.produce("numbered", 0, [{ value: `message ${SEQUENCE_MARKER}${writer.written} after a stop` }]);
    await agent.until(() => counter.distinct > writer.written, "the message after a stop");
    assert.equal(counter.duplicated, duplicates, "an orderly stop repeats nothing");
  });

  const sharing = t.test(
    "two agents share a group: nothing is lost when one comes and one goes, nor when the topic grows",
    async (s) => {
      await client.createTopic("shared", 2);
      const { counter, sink } = await startSink(s);
      // While one that is named is not there, topics are looked at every three seconds.
      const topics = ["shared", "never-there"];
      const config = source(topics, "shared-group", 'assignor = "sticky"') + write(sink.url);
      const writer = startWriter("shared", 2);
      cleanUp(s, () => writer.stop());
      const partitionsOf = (agent: Awaited<ReturnType<typeof startAgent>>) =>
        agent
          .logged("loki.source.kafka.in", "joined the consumer group")
          .at(-1)
          ?.match(/shared\/\d/g)?.length ?? 0;
      const first = await startAgent(s, config);
      await first.until(() => partitionsOf(first) === 2, "the first has both partitions");
      const second = await startAgent(s, config);
      await second.until(() => partitionsOf(second) === 1, "the second has one");
      await first.until(() => partitionsOf(first) === 1, "the first has the other");
      await sleep(300);
      assert.equal(await first.stop(), 0);
      await second.until(() => partitionsOf(second) === 2, "the second has both after the first has left");
      await writer.stop();
      await second
        .until(() => counter.distinct >= writer.written, "every message has come")
        .catch((error) => {
          throw new Error(`${writer.written - counter.distinct} of ${writer.written} messages lost\n${error}`);
        });
      const { written } = writer;
      await client.addPartitions("shared", 4);
      for (const partition of [2, 3])
        await client.produce("shared", partition, [{ value: `${SEQUENCE_MARKER}${written + partition - 2}` }]);
      await second.until(() => counter.distinct === written + 2, "the messages of the new partitions have come");
      s.diagnostic(`${written + 2} messages, ${counter.duplicated} duplicates`);
      assert.equal(await second.stop(), 0);
      const ends = await Promise.all(
        [0, 1, 2, 3].map((partition) => client.committed("shared-group", "shared", partition)),
      );
      assert.equal(ends[0]! + ends[1]!, written, "everything is committed");
      assert.deepEqual(ends.slice(2), [1, 1], "of the new partitions too");
    },
  );

  const formats = t.test("patterns, compression by the broker, keys, times and rules", async (s) => {
    const codecs = ["uncompressed", "gzip", "snappy", "lz4", "zstd"];
    for (const codec of codecs) {
      await client.createTopic(`codec-${codec}`, 1, { "compression.type": codec });
      // Few enough for the pipe of the agent's log, which is full rather than slow.
      const messages = Array.from({ length: 10 }, (_, i) => ({
        key: `key-${i % 2}`,
        value: `${codec} line ${i} ${"again ".repeat(20)}`,
        ms: 1_700_000_000_000 + i,
      }));
      await client.produce(`codec-${codec}`, 0, messages);
    }
    const agent = await startAgent(
      s,
      `loki.relabel "names" {
  forward_to = []
  rule {
    source_labels = ["__meta_kafka_topic"]
    target_label  = "topic"
  }
  rule {
    source_labels = ["__meta_kafka_message_key"]
    regex         = "key-(.*)"
    target_label  = "number"
  }
  rule {
    source_labels = ["__meta_kafka_group_id", "__meta_kafka_partition"]
    separator     = "/"
    regex         = "(.+/.+)"
    target_label  = "from"
  }
}
loki.source.kafka "in" {
  brokers                = ["${broker.address}"]
  topics                 = ["^codec-[a-z0-9]+$"]
  group_id               = "codecs"
  assignor               = "roundrobin"
  use_incoming_timestamp = true
  relabel_rules          = loki.relabel.names.rules
  forward_to             = [loki.echo.out.receiver]
}
loki.echo "out" {}
`,
    );
    for (const codec of codecs) {
      const name = `codec-${codec}`;
      await agent.untilLogged(new RegExp(`${codec} line 9 `));
      const lines = agent.log.split("\n").filter((line) => line.includes(`${codec} line `));
      assert.equal(lines.length, 10, name);
      assert.match(lines[7]!, new RegExp(`from=\\\\"codecs/0\\\\".*number=\\\\"1\\\\".*topic=\\\\"${name}\\\\"`));
    }
    assert.equal((await agent.component("loki.source.kafka.in")).flow.state, "ok");
    assert.equal(await agent.stop(), 0);
  });

  const logins = t.test("logins, and what is said when they or something else fails", async (s) => {
    for (const topic of ["secured", "expired", "unreadable", "hidden"]) await client.createTopic(topic, 1);
    await client.restrict(KAFKA_GUEST, "describe", "topic", "unreadable");
    await client.restrict(KAFKA_GUEST, "nothing", "topic", "hidden");
    await client.restrict(KAFKA_GUEST, "nothing", "group", "group-refused");
    await client.produce("secured", 0, [{ value: "a secured message" }]);
    await client.produce("expired", 0, [{ value: "one" }, { value: "two" }, { value: "three" }]);
    const azure = createServer((request, response) => {
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const now = Math.floor(Date.now() / 1_000);
      const token = `${part({ alg: "none" })}.${part({ sub: "alice", iat: now, exp: now + 3_600 })}.`;
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify(request.url === "/tenant/oauth2/v2.0/token" ? { access_token: token, expires_in: 3_600 } : {}),
      );
    });
    await new Promise<void>((resolve) => azure.listen(0, "127.0.0.1", resolve));
    cleanUp(s, () => void azure.close());
    const { cert, key } = broker.authority.issue({ commonName: "client" });
    const pem = (text: string) => JSON.stringify(text);
    const ca = `ca_pem = ${pem(broker.authority.cert)}`;
    const sasl = (mechanism: string, more = "", password = KAFKA_PASSWORD, user = KAFKA_USER) =>
      `type = "sasl"
       sasl_config {
         mechanism = "${mechanism}"
         ${mechanism === "OAUTHBEARER" ? "" : `user = "${user}"\npassword = "${password}"`}
         ${more}
       }`;
    const tls = (more: string) => `type = "ssl"\ntls_config {\n${more}\n}`;
    const oauth =
      'oauth_config {\n token_provider = "azure"\n scopes = ["https://hub.servicebus.windows.net/.default"]\n}';
    const good: Readonly<Record<string, readonly [address: string, authentication: string]>> = {
      plain: [broker.saslAddress, sasl("PLAIN")],
      scram256: [broker.saslAddress, sasl("SCRAM-SHA-256")],
      scram512: [broker.saslAddress, sasl("SCRAM-SHA-512")],
      oauth: [broker.saslAddress, sasl("OAUTHBEARER", oauth)],
      tls: [broker.tlsAddress, tls(`${ca}\ncert_pem = ${pem(cert)}\nkey_pem = ${pem(key)}`)],
      sasltls: [broker.saslTlsAddress, sasl("SCRAM-SHA-256", `use_tls = true\ntls_config {\n${ca}\n}`)],
    };
    const bad: Readonly<Record<string, readonly [address: string, authentication: string, cause: RegExp]>> = {
      password: [
        broker.saslAddress,
        sasl("PLAIN", "", "wrong-password"),
        /refuses the credentials.*check `user` and `password`/,
      ],
      scrampassword: [
        broker.saslAddress,
        sasl("SCRAM-SHA-512", "", "wrong-password"),
        /refuses the credentials.*check `user`/,
      ],
      nologin: [broker.saslAddress, 'type = "none"', /it may want a SASL login/],
      notls: [broker.tlsAddress, 'type = "none"', /it may want TLS|speaks TLS on this port/],
      noca: [
        broker.tlsAddress,
        tls(`cert_pem = ${pem(cert)}\nkey_pem = ${pem(key)}`),
        /not signed by a trusted authority.*set ca_file/,
      ],
      nocert: [broker.tlsAddress, tls(ca), /broke TLS off.*set cert_file/],
      tlstoplain: [broker.address, tls(ca), /may not speak TLS on this port|did not answer|does not speak TLS/],
      down: [`127.0.0.1:${await freePort()}`, 'type = "none"', /refuses connections/],
    };
    /** What a user without rights is told. */
    const refused: Readonly<Record<string, readonly [topics: readonly string[], rule: string, cause: RegExp]>> = {
      unreadable: [
        ["unreadable"],
        "partitions",
        /unreadable\/0: the user may not read the topic: allow READ and DESCRIBE/,
      ],
      hidden: [["hidden"], "connection", /topic hidden: the user may not read the topic: allow READ and DESCRIBE/],
      some: [["hidden", "secured"], "topics", /may not read the topic hidden: allow READ and DESCRIBE on it/],
      refused: [["secured"], "connection", /group-refused: the user may not use the consumer group: allow READ on it/],
    };
    const component = (name: string, address: string, authentication: string, ...topics: readonly string[]) => `
loki.source.kafka "${name}" {
  brokers    = ["${address}"]
  topics     = ${JSON.stringify(topics.length === 0 ? ["secured"] : topics)}
  group_id   = "group-${name}"
  labels     = { how = "${name}" }
  forward_to = [loki.echo.out.receiver]
  authentication {
    ${authentication}
  }
}
`;
    let config = 'loki.echo "out" {}\n';
    for (const [name, [address, authentication]] of [...Object.entries(good), ...Object.entries(bad)]) {
      config += component(name, address, authentication);
    }
    const guest = sasl("PLAIN", "", KAFKA_PASSWORD, KAFKA_GUEST);
    for (const [name, [topics]] of Object.entries(refused)) {
      config += component(name, broker.saslAddress, guest, ...topics);
    }
    config += component("expired", broker.address, 'type = "none"', "expired");
    config += component("missing", broker.address, 'type = "none"', "not-there-yet");
    config += `loki.source.kafka "unlabelled" {
  brokers    = ["${broker.address}"]
  topics     = ["secured"]
  group_id   = "group-unlabelled"
  forward_to = [loki.echo.out.receiver]
}
`;
    const environment = {
      AZURE_AUTHORITY_HOST: `http://127.0.0.1:${(azure.address() as { port: number }).port}`,
      AZURE_TENANT_ID: "tenant",
      AZURE_CLIENT_ID: "client",
      AZURE_CLIENT_SECRET: "azure-secret",
    };
    const begun = performance.now();
    const agent = await startAgent(s, config, { environment });
    for (const name of Object.keys(good)) {
      await agent
        .untilLogged(new RegExp(`a secured message.*how=\\\\"${name}\\\\"|how=\\\\"${name}\\\\".*a secured message`))
        .catch(async (error) => {
          throw new Error(`${name}: ${(await agent.component(`loki.source.kafka.${name}`)).flow.cause}`, {
            cause: error,
          });
        });
    }
    const loggedIn = performance.now();
    /** Lines about one trouble: one or two, and some more where a busy machine takes minutes for all this. */
    const often = () => 2 + Math.floor((performance.now() - begun) / 30_000);
    for (const [name, [, , cause]] of Object.entries(bad)) {
      const id = `loki.source.kafka.${name}`;
      const flow = await agent.untilRule(id, "connection", "failing");
      assert.match(flow.cause, cause, name);
      assert.ok(agent.logged(id, "Kafka cannot be used").length <= often(), `${name} says it at each attempt`);
    }
    const complaints = (id: string) =>
      ["Kafka cannot be used", "a partition cannot be read"].flatMap((message) => agent.logged(id, message));
    for (const [name, [, rule, cause]] of Object.entries(refused)) {
      const id = `loki.source.kafka.${name}`;
      const state = name === "some" ? "degraded" : "failing";
      assert.match((await agent.untilRule(id, rule, state)).cause, cause, name);
      assert.ok(complaints(id).length <= often(), `${name} says it at each attempt`);
    }
    for (const secret of [KAFKA_PASSWORD, "wrong-password", "azure-secret"])
      assert.ok(!agent.log.includes(secret), secret);

    const missing = await agent.untilRule("loki.source.kafka.missing", "topics", "failing");
    assert.match(missing.cause, /topic not-there-yet does not exist/);
    await client.createTopic("not-there-yet", 1);
    await client.produce("not-there-yet", 0, [{ value: "now it is" }]);
    await agent.untilLogged(/now it is/);
    await agent.untilRule("loki.source.kafka.missing", "", "ok");

    const unlabelled = await agent.untilRule("loki.source.kafka.unlabelled", "no_labels", "failing");
    assert.match(unlabelled.cause, /left in Kafka \(secured\/0\); set `labels`/);
    const labelled = config.replace(
      '  group_id   = "group-unlabelled"',
      '  group_id   = "group-unlabelled"\n  labels = { how = "late" }',
    );
    assert.equal((await agent.reload(labelled)).status, 200);
    await agent.untilLogged(/how=\\"late\\"/);

    // By now the broker wants to know again who asks.
    await agent.until(() => performance.now() > loggedIn + 3 * KAFKA_LOGIN_MS, "some logins have expired");
    await client.produce("secured", 0, [{ value: "for those who logged in again" }]);
    await agent.untilLogged(
      /for those who logged in again.*how=\\"plain\\"|how=\\"plain\\".*for those who logged in again/,
    );
    assert.equal(
      agent.logged("loki.source.kafka.plain", "joined the consumer group").length,
      1,
      "it went on as it was",
    );
    // A topic that was just made may have no leader for a moment.
    const others = complaints("loki.source.kafka.plain").filter((line) => !line.includes("leads the partition"));
    assert.deepEqual(others, []);

    await agent.untilLogged(/three/);
    await agent.until(
      async () => (await client.committed("group-expired", "expired", 0)) === 3,
      "the position is committed",
    );
    assert.equal(await agent.stop(), 0);
    await client.produce("expired", 0, [{ value: "four" }, { value: "five" }, { value: "six" }]);
    await client.deleteBefore("expired", 0, 5);
    await agent.start();
    await agent.untilLogged(/line=six|six/);
    assert.equal(await agent.dropped("loki.source.kafka.expired", "messages_expired"), 2);
    const expired = await agent.untilRule("loki.source.kafka.expired", "messages_lost", "degraded");
    assert.match(expired.cause, /lost 2 messages.*deleted the messages from offset 3 to 5/);
    assert.equal(await agent.stop(), 0);
  });
  const exporting = t.test(
    "otelcol.exporter.kafka: messages of all kinds, keys, topics, logins and refusals",
    async (s) => {
      const signal = new AbortController().signal;
      const start = async (config: string) => {
        const component = await startComponent(exporter, `protocol_version = "3.0.0"\n${config}`);
        cleanUp(s, () => component.stop(1_000));
        return component;
      };
      const here = `brokers = ["${broker.address}"]\n`;
      const send = async (
        component: Awaited<ReturnType<typeof start>>,
        kind: OtlpKind,
        plain: object,
        metadata = {},
      ) => {
        const bytes = oracleEncode(kind, plain);
        const mark = acknowledged();
        const base = { signal: "otlp", kind, parts: [bytes], items: itemsOf(kind, bytes).length } as const;
        const clientMetadata = new Map(Object.entries<string[]>(metadata));
        const batch = { ...base, bytes: bytes.length, clientMetadata, acknowledgement: mark.acknowledgement };
        await component.exports.input.consume(batch, signal);
        await until(
          () => mark.fired,
          () => JSON.stringify(component.flow.status),
          WAIT_MS,
        );
        return bytes;
      };
      const partitions = [0, 1, 2];
      const readAll = async (topic: string) =>
        (await Promise.all(partitions.map((each) => client.read(topic, each)))).flat();
      const log = (text: string, attributes: object[] = []) => ({
        resourceLogs: [{ resource: { attributes }, scopeLogs: [{ logRecords: [{ body: { stringValue: text } }] }] }],
      });

      for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"]) {
        const topic = `out-${compression}`;
        await client.createTopic(topic, 3);
        const acks = { gzip: -1, snappy: 0 }[compression] ?? 1;
        const one = await start(
          `${here}logs {\ntopic = "${topic}"\n}\nproducer {\ncompression = "${compression}"\nrequired_acks = ${acks}\n}`,
        );
        const bytes = await send(one, "logs", log("again ".repeat(100)));
        for (let i = 0; (await readAll(topic)).length === 0; i++) {
          assert.ok(i < 100, topic);
          await sleep(50);
        }
        const [message] = await readAll(topic);
        assert.deepEqual([message!.value, message!.encoding], [bytes, compression === "none" ? "" : compression]);
        assert.equal(one.metric("otelcol_exporter_sent_log_records_total"), 1);
      }

      // Keys go where sarama, and the Collector with it, would have put them.
      await client.createTopic("keyed", 3);
      const spans = [
        "000102030405060708090a0b0c0d0e0f",
        "ffeeddccbbaa99887766554433221100",
        "11111111111111111111111111111111",
      ];
      const keyed = await start(
        `${here}partition_traces_by_id = true\ntraces {\ntopic = "keyed"\nencoding = "otlp_json"\n}`,
      );
      await send(keyed, "traces", {
        resourceSpans: [
          {
            scopeSpans: [
              { spans: [...spans, ...spans].map((id) => ({ traceId: Buffer.from(id, "hex").toString("base64") })) },
            ],
          },
        ],
      });
      for (const partition of partitions) {
        for (const { key, value } of await client.read("keyed", partition)) {
          let hash = 0x811c9dc5;
          for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
          assert.equal(Math.abs(hash % 3), partition);
          assert.equal(
            value.toString().match(new RegExp(`"traceId":"${key}"`, "g"))?.length,
            2,
            "one message for a trace",
          );
        }
      }
      assert.deepEqual((await readAll("keyed")).map(({ key }) => key.toString()).sort(), spans.toSorted());

      // Topics of attributes and metadata, made by the broker; headers; bodies as they are.
      const named = await start(
        `${here}topic_from_attribute = "kafka.topic"\ninclude_metadata_keys = ["X-Tenant"]\nlogs {\nencoding = "raw"\ntopic_from_metadata_key = "X-Topic"\nmessage_key_from_metadata_key = "X-Key"\n}`,
      );
      const topicOf = (name: string) => [{ key: "kafka.topic", value: { stringValue: name } }];
      await send(named, "logs", {
        resourceLogs: [
          ...log("one", topicOf("made-a")).resourceLogs,
          ...log("two", topicOf("made-b")).resourceLogs,
          ...log("three").resourceLogs,
        ],
      });
      await send(named, "logs", log("four", topicOf("made-a")), {
        "x-topic": ["made-c"],
        "x-key": ["k"],
        "x-tenant": ["t1", "t2"],
      });
      for (const [topic, text] of [
        ["made-a", "one"],
        ["made-b", "two"],
        ["otlp_logs", "three"],
        ["made-c", "four"],
      ] as const) {
        const messages = await client.read(topic, 0);
        assert.deepEqual(
          messages.map(({ value }) => value.toString()),
          [JSON.stringify(text)],
          topic,
        );
        if (topic !== "made-c") continue;
        assert.equal(messages[0]!.key.toString(), "k");
        assert.deepEqual(messages[0]!.headers, [
          ["X-Tenant", "t1"],
          ["X-Tenant", "t2"],
        ]);
      }
      for (const encoding of ["jaeger_json", "zipkin_json"]) {
        const one = await start(`${here}encoding = "${encoding}"\ntopic = "as-${encoding}"`);
        const traceId = Buffer.from(spans[1]!, "hex").toString("base64");
        const spanId = Buffer.alloc(8, 1).toString("base64");
        await send(one, "traces", { resourceSpans: [{ scopeSpans: [{ spans: [{ traceId, spanId }] }] }] });
        const [message] = await client.read(`as-${encoding}`, 0);
        const read = JSON.parse(message!.value.toString());
        if (encoding === "zipkin_json") assert.equal(read[0].traceId, spans[1]);
        else assert.deepEqual([message!.key.toString(), read.traceId], [spans[1], traceId]);
      }
      const raw = await start(`${here}encoding = "raw"`);
      await assert.rejects(send(raw, "traces", {}), /raw is for logs/);

      // What is too large for one message goes in several, and what cannot be cut is refused.
      await client.createTopic("large", 3);
      const small = await start(`${here}logs {\ntopic = "large"\n}\nproducer {\nmax_message_bytes = 20000\n}`);
      const records = Array.from({ length: 40 }, (_, i) => ({ body: { stringValue: `${i}`.padEnd(1_000) } }));
      const bytes = await send(small, "logs", { resourceLogs: [{ scopeLogs: [{ logRecords: records }] }] });
      const cut = await readAll("large");
      assert.ok(cut.length > 1);
      assert.deepEqual(cut.flatMap(({ value }) => itemsOf("logs", value)).sort(), itemsOf("logs", bytes).sort());
      await send(small, "logs", log("x".repeat(30_000)));
      assert.deepEqual(Object.fromEntries(small.flow.dropped.get("otlp")!), { kafka_10: 1 });
      assert.match(small.flow.status.cause, /larger than allowed: make requests smaller, or raise max_message_bytes/);

      // Logins over TLS, and what is said when they fail.
      await client.createTopic("secured-out", 3);
      const ca = `tls {\nca_pem = ${JSON.stringify(broker.authority.cert)}\n}`;
      for (const [address, login, mechanism] of [
        [broker.saslTlsAddress, ca, "PLAIN"],
        [broker.saslAddress, "", "SCRAM-SHA-512"],
      ] as const) {
        const sasl = (password: string) =>
          `brokers = ["${address}"]\nlogs {\ntopic = "secured-out"\n}\n${login}\nretry_on_failure {\ninitial_interval = "50ms"\n}\nauthentication {\nsasl {\nusername = "${KAFKA_USER}"\npassword = "${password}"\nmechanism = "${mechanism}"\n}\n}`;
        const wrong = await start(sasl("wrong"));
        const waiting = send(wrong, "logs", log(mechanism));
        await until(
          () => wrong.flow.status.rule === "unauthorized",
          () => JSON.stringify(wrong.flow.status),
          WAIT_MS,
        );
        assert.match(wrong.flow.status.cause, /check `user` and `password`/);
        await wrong.update(`protocol_version = "3.0.0"\n${sasl(KAFKA_PASSWORD)}`);
        await waiting;
      }
      assert.equal((await readAll("secured-out")).length, 2);
      const lost = await start(
        `${here}producer {\nallow_auto_topic_creation = false\n}\nlogs {\ntopic = "nowhere"\n}\nmetadata {\nretry {\nmax_retries = 0\n}\n}\nsending_queue {\nenabled = false\n}\nretry_on_failure {\nenabled = false\n}`,
      );
      await assert.rejects(send(lost, "logs", log("x")), /writing to topic nowhere: the topic does not exist/);
    },
  );
  // They mostly wait, and not for each other.
  await Promise.all([sharing, formats, logins, exporting]);
});
