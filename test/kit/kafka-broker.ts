import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { cleanUp } from "#base/clean-up.testing";
import { createAuthority, type TestAuthority } from "#kits/certificates.testing";
import { temporaryFolder } from "./agent.ts";
import { freePort, sleep } from "./process.ts";

/**
 * A real Apache Kafka broker, one node with its controller, in a process of its own. tools/test-setup.sh fetches its jars.
 */

const JARS = fileURLToPath(new URL("../../node_modules/.cache/kafka/4.1.0/", import.meta.url));
const FORMATTED = join(JARS, "formatted");
/** Little memory and the cheap compiler alone: the broker has to start fast, not to be fast. */
const JAVA = ["-Xmx256m", "-Xms96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:CICompilerCount=1"];
const READY_MS = 90_000;
/** Base64 of 16 bytes, as Kafka wants a cluster's id. */
const CLUSTER_ID = "aW52YXItdGVzdC1rYWZrYQ";

export const KAFKA_USER = "alice";
export const KAFKA_PASSWORD = "alice-secret";
/** Knows the password too, by PLAIN alone, and is nobody whom access lists do not apply to. */
export const KAFKA_GUEST = "bob";
/** A login by PLAIN without TLS is good for so long. */
export const KAFKA_LOGIN_MS = 4_000;

type Ports = Readonly<Record<"plain" | "sasl" | "tls" | "saslTls" | "controller", number>>;

export class KafkaBroker {
  readonly #folder: string;
  readonly #ports: Ports;
  /** What signed the certificate of the listeners with TLS, and may sign those of clients. */
  readonly authority: TestAuthority;
  #child: ReturnType<typeof spawn> | undefined;
  #ended: Promise<unknown> = Promise.resolve();
  log = "";

  private constructor(folder: string, ports: Ports) {
    this.#folder = folder;
    this.#ports = ports;
    this.authority = createAuthority("Kafka test CA");
  }

  /** Formats the storage, starts the broker and waits until it answers. It ends with the test. */
  static async start(t: TestContext): Promise<KafkaBroker> {
    const [plain, sasl, tls, saslTls, controller] = await Promise.all(Array.from({ length: 5 }, () => freePort()));
    const ports = { plain: plain!, sasl: sasl!, tls: tls!, saslTls: saslTls!, controller: controller! };
    const broker = new KafkaBroker(temporaryFolder(t), ports);
    cleanUp(t, () => broker.kill());
    broker.#configure();
    await broker.#format();
    await broker.restart();
    return broker;
  }

  /** `host:port` without authentication. */
  get address(): string {
    return `127.0.0.1:${this.#ports.plain}`;
  }
  /** SASL without TLS: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER (tokens without a signature). */
  get saslAddress(): string {
    return `127.0.0.1:${this.#ports.sasl}`;
  }
  /** TLS that asks for a certificate of the client's. */
  get tlsAddress(): string {
    return `127.0.0.1:${this.#ports.tls}`;
  }
  /** SASL over TLS. */
  get saslTlsAddress(): string {
    return `127.0.0.1:${this.#ports.saslTls}`;
  }

  /** Starts it, after an end with what it had stored, and waits until it takes connections. */
  async restart(): Promise<void> {
    const child = this.#java(["kafka.Kafka", this.#path("server.properties")]);
    this.#child = child;
    this.#ended = once(child, "close");
    const until = performance.now() + READY_MS;
    this.log = "";
    while (!this.log.includes("Kafka Server started")) {
      if (child.exitCode !== null || performance.now() > until) {
        throw new Error(`the broker did not start\n${this.log.slice(-4_000)}`);
      }
      await sleep(50);
    }
  }

  /** Lets it hand over and end. */
  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    await this.#ended;
  }
  /** Ends it without warning. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }

  /** Kafka's own tool does it once; later brokers get a copy, since the tool takes as long to start as a broker. */
  async #format(): Promise<void> {
    const data = this.#path("data");
    if (!existsSync(FORMATTED)) {
      const scram = ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
        "--add-scram",
        `${mechanism}=[name=${KAFKA_USER},password=${KAFKA_PASSWORD}]`,
      ]);
      await this.#run([
        "kafka.tools.StorageTool",
        "format",
        "-t",
        CLUSTER_ID,
        "-c",
        this.#path("server.properties"),
        ...scram,
      ]);
      const beside = `${FORMATTED}.${process.pid}`;
      cpSync(data, beside, { recursive: true });
      rmSync(data, { recursive: true });
      try {
        renameSync(beside, FORMATTED);
      } catch {
        rmSync(beside, { recursive: true }); // another test was faster
      }
    }
    cpSync(FORMATTED, data, { recursive: true });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async #run(words: readonly string[]): Promise<void> {
    const child = this.#java(words);
    const [code] = (await once(child, "close")) as [number | null];
    if (code !== 0) throw new Error(`${words[0]} failed\n${this.log}`);
  }

  #java(words: readonly string[]): ReturnType<typeof spawn> {
    const child = spawn(
      "java",
      [...JAVA, `-Dlog4j2.configurationFile=${this.#path("log4j2.properties")}`, "-cp", `${JARS}*`, ...words],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const keep = (data: Buffer) => {
      this.log = (this.log + data.toString()).slice(-100_000);
    };
    child.stdout!.on("data", keep);
    child.stderr!.on("data", keep);
    return child;
  }

  #configure(): void {
    const own = this.authority.issue({ commonName: "broker" });
    const line = (pem: string) => pem.trim().replace(/\n/g, "\\n");
    const { plain, sasl, tls, saslTls, controller } = this.#ports;
    const listeners = [
      ["PLAIN", "PLAINTEXT", plain],
      ["SASL", "SASL_PLAINTEXT", sasl],
      ["TLS", "SSL", tls],
      ["SASLTLS", "SASL_SSL", saslTls],
    ] as const;
    const addresses = listeners.map(([name, , port]) => `${name}://127.0.0.1:${port}`).join(",");
    const plainLogin = `org.apache.kafka.common.security.plain.PlainLoginModule required user_${KAFKA_USER}="${KAFKA_PASSWORD}" user_${KAFKA_GUEST}="${KAFKA_PASSWORD}";`;
    const scramLogin = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    const bearerLogin =
      'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="admin";';
    const properties = [
      "process.roles=broker,controller",
      "node.id=1",
      `controller.quorum.voters=1@127.0.0.1:${controller}`,
      "controller.listener.names=CONTROLLER",
      "inter.broker.listener.name=PLAIN",
      `listeners=${addresses},CONTROLLER://127.0.0.1:${controller}`,
      `advertised.listeners=${addresses}`,
      `listener.security.protocol.map=CONTROLLER:PLAINTEXT,${listeners.map(([name, how]) => `${name}:${how}`).join(",")}`,
      `log.dirs=${this.#path("data")}`,
      "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
      ...["sasl", "sasltls"].flatMap((name) => [
        `listener.name.${name}.plain.sasl.jaas.config=${plainLogin}`,
        `listener.name.${name}.scram-sha-256.sasl.jaas.config=${scramLogin}`,
        `listener.name.${name}.scram-sha-512.sasl.jaas.config=${scramLogin}`,
        `listener.name.${name}.oauthbearer.sasl.jaas.config=${bearerLogin}`,
      ]),
      `listener.name.sasl.plain.connections.max.reauth.ms=${KAFKA_LOGIN_MS}`,
      "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      `super.users=User:ANONYMOUS;User:admin;User:${KAFKA_USER}`,
      "allow.everyone.if.no.acl.found=true",
      "ssl.keystore.type=PEM",
      `ssl.keystore.certificate.chain=${line(own.cert)}`,
      `ssl.keystore.key=${line(own.key)}`,
      "ssl.truststore.type=PEM",
      `ssl.truststore.certificates=${line(this.authority.cert)}`,
      "listener.name.tls.ssl.client.auth=required",
      "auto.create.topics.enable=true",
      // Messages of tests have times of long ago.
      "log.retention.ms=-1",
      "offsets.topic.num.partitions=1",
      "offsets.topic.replication.factor=1",
      "transaction.state.log.num.partitions=1",
      "transaction.state.log.replication.factor=1",
      "transaction.state.log.min.isr=1",
      "group.initial.rebalance.delay.ms=0",
      // After a kill -9 the controller takes the broker for alive for so long, and lets no other one in.
      "broker.session.timeout.ms=2000",
      "broker.heartbeat.interval.ms=500",
      "num.network.threads=1",
      "num.io.threads=2",
      "background.threads=2",
    ];
    mkdirSync(this.#path("data"), { recursive: true });
    writeFileSync(this.#path("server.properties"), `${properties.join("\n")}\n`, { mode: 0o600 });
    const logging = [
      "appender.console.type=Console",
      "appender.console.name=console",
      "appender.console.layout.type=PatternLayout",
      "appender.console.layout.pattern=%d %p %m (%c)%n",
      "rootLogger.level=warn",
      "rootLogger.appenderRef.console.ref=console",
      "logger.server.name=kafka.server.KafkaRaftServer",
      "logger.server.level=info",
    ];
    writeFileSync(this.#path("log4j2.properties"), `${logging.join("\n")}\n`);
  }
}
