import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import { createServer as createHttpsServer, type Server } from "node:https";
import type { AddressInfo, Server as NetServer } from "node:net";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { createAuthority, type TestCertificate } from "#kits/certificates.testing";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { traceRequest } from "../kit/spans.ts";

/** One pipeline for each client (scrape, remote write, OTLP over HTTP and over gRPC) meets broken TLS. */

const DAY_MS = 86_400_000;
const SCRAPE = "prometheus.scrape.t";
const WRITE = "prometheus.remote_write.t";
const OTLP_HTTP = "otelcol.exporter.otlphttp.t";
const OTLP_GRPC = "otelcol.exporter.otlp.t";
const CLIENTS = [SCRAPE, WRITE, OTLP_HTTP, OTLP_GRPC];

const authority = createAuthority("Our CA");
const good = authority.issue({ commonName: "backend" });
const neighbour = authority.issue({ commonName: "neighbour" });
const renamed = authority.issue({ commonName: "backend", names: ["backend.mon.svc", "backend"] });
const expired = authority.issue({ notBefore: Date.now() - 3 * DAY_MS, notAfter: Date.now() - DAY_MS });

async function listen(t: TestContext, server: NetServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    (server as Partial<Server>).closeAllConnections?.();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Backends that take everything, over HTTP and over gRPC, and whose certificate can be changed. */
class Backends {
  readonly #http: Server;
  readonly #grpc: Http2SecureServer;
  readonly #sessions = new Set<{ destroy(): void }>();
  httpPort = 0;
  grpcPort = 0;
  plainPort = 0;

  constructor(certificate: TestCertificate) {
    this.#http = createHttpsServer(certificate, (request, response) => {
      request.resume();
      request.on("end", () => response.writeHead(200, { "content-type": "text/plain" }).end("up_to_you 1\n"));
    });
    this.#grpc = createSecureServer(certificate);
    this.#grpc.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => {});
    });
    this.#grpc.on("stream", (stream: ServerHttp2Stream) => {
      stream.on("error", () => {});
      stream.resume();
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(5));
    });
  }

  async start(t: TestContext): Promise<void> {
    cleanUp(t, () => this.breakOff());
    this.httpPort = await listen(t, this.#http);
    this.grpcPort = await listen(t, this.#grpc as unknown as NetServer);
    this.plainPort = await listen(
      t,
      createHttpServer((_, response) => response.end("up_to_you 1\n")),
    );
  }

  breakOff(): void {
    this.#http.closeAllConnections();
    for (const session of this.#sessions) session.destroy();
  }

  show(certificate: TestCertificate): void {
    this.#http.setSecureContext(certificate);
    this.#grpc.setSecureContext(certificate);
    this.breakOff();
  }
}

interface Settings {
  readonly ca?: string;
  /** Further lines of each TLS block. */
  readonly tls?: string;
  readonly port?: number;
  readonly grpcPort?: number;
  readonly scheme?: string;
}

async function prepare(t: TestContext) {
  const folder = temporaryFolder(t);
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const backends = new Backends(good);
  await backends.start(t);
  const receiverPort = await freePort();
  const trusted = file("ca.pem", authority.cert);
  const config = ({ ca = trusted, tls = "", port, grpcPort, scheme = "https" }: Settings = {}) => {
    const address = `127.0.0.1:${port ?? backends.httpPort}`;
    const block = (name: string) => `${name} {\n${ca === "" ? "" : `ca_file = "${ca}"`}\n${tls}\n}`;
    const retry = 'retry_on_failure {\ninitial_interval = "100ms"\nmax_interval = "300ms"\n}';
    return `prometheus.scrape "t" {
  targets         = [{ __address__ = "${address}" }]
  forward_to      = [prometheus.remote_write.t.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
  scheme          = "${scheme}"
  ${block("tls_config")}
}
prometheus.remote_write "t" {
  endpoint {
    url = "${scheme}://${address}/api/v1/write"
    ${block("tls_config")}
    queue_config {
      batch_send_deadline = "50ms"
      max_backoff         = "200ms"
    }
  }
}
otelcol.receiver.otlp "t" {
  http {
    endpoint = "127.0.0.1:${receiverPort}"
  }
  output {
    traces = [otelcol.exporter.otlphttp.t.input, otelcol.exporter.otlp.t.input]
  }
}
otelcol.exporter.otlphttp "t" {
  client {
    endpoint = "${scheme}://${address}"
    ${block("tls")}
  }
  ${retry}
}
otelcol.exporter.otlp "t" {
  client {
    endpoint = "127.0.0.1:${grpcPort ?? backends.grpcPort}"
    ${block("tls").replace(/\{/, scheme === "http" ? "{\ninsecure = true" : "{")}
  }
  ${retry}
}
`;
  };
  const agent = await startAgent(t, config());
  const send = () =>
    fetch(`http://127.0.0.1:${receiverPort}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/x-protobuf" },
      body: traceRequest(1) as Uint8Array<ArrayBuffer>,
    })
      .then((response) => response.arrayBuffer())
      .catch(() => {}); // not listening yet
  /** Sends until each of the clients has a state and a cause. */
  const until = async (state: RegExp, causes: Readonly<Record<string, RegExp>>) => {
    for (const [id, cause] of Object.entries(causes)) {
      await agent.until(async () => {
        await send();
        const { flow } = await agent.component(id);
        return state.test(flow.state) && cause.test(flow.cause);
      }, `${id} is ${state} with ${cause}`);
    }
  };
  await until(/^ok$/, Object.fromEntries(CLIENTS.map((id) => [id, /^$/])));
  const reload = async (settings: Settings) => {
    const { status, text } = await agent.reload(config(settings));
    assert.equal(status, 200, text);
  };
  return { agent, backends, file, until, reload };
}

const all = (cause: RegExp) => Object.fromEntries(CLIENTS.map((id) => [id, cause]));

function rules(agent: TestAgent): Promise<readonly string[]> {
  return Promise.all(CLIENTS.map(async (id) => (await agent.component(id)).flow.rule));
}

suite("failures of TLS", { concurrency: true }, () => {
  test("a server's certificate in place of the authority's, an unknown authority, and none at all", async (t) => {
    const { agent, file, until, reload } = await prepare(t);
    await reload({ ca: file("neighbour.pem", neighbour.cert) });
    await until(
      /^failing$/,
      all(
        /not signed by a trusted authority \(issued by Our CA\): ca_file \/.*neighbour\.pem holds a server's certificate \(CN=neighbour\), not that of the authority that signed it/,
      ),
    );
    assert.deepEqual(await rules(agent), ["scrape_failed", "endpoint_down", "endpoint_down", "endpoint_down"]);
    for (const id of CLIENTS) {
      await agent.untilLogged(
        new RegExp(`level=warn msg="data flow failing" .*component_id=${id.replaceAll(".", "\\.")} cause=".*neighbour`),
      );
    }
    await reload({ ca: file("other.pem", createAuthority("Other CA").cert) });
    await until(/^failing$/, all(/\(issued by Our CA\): ca_file \/.*other\.pem holds CN=Other CA/));
    await reload({ ca: "" });
    await until(/^failing$/, all(/not signed by a trusted authority \(issued by Our CA\): set ca_file/));
    await reload({ ca: file("backend.pem", good.cert) });
    await until(/^ok$/, all(/^$/));
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    assert.equal(await agent.stop(), 0);
  });

  test("certificates of the server: other names, expired", async (t) => {
    const { agent, backends, until } = await prepare(t);
    backends.show(renamed);
    await until(
      /^failing$/,
      all(
        /is for other names: 127\.0\.0\.1 is not among \[backend\.mon\.svc, backend\]; ask for one of these or set server_name/,
      ),
    );
    backends.show(expired);
    await until(/^failing$/, all(/the certificate of 127\.0\.0\.1:\d+ has expired on .*: renew it/));
    backends.show(good);
    await until(/^ok$/, all(/^$/));
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    assert.deepEqual((await agent.component(OTLP_HTTP)).flow.dropped, []);
    assert.equal(await agent.stop(), 0);
  });

  test("keys that are another certificate's, and TLS on one side only", async (t) => {
    const { agent, backends, file, until, reload } = await prepare(t);
    const own = `cert_file = "${file("own.pem", good.cert)}"\nkey_file = "${file("own.key", neighbour.key)}"`;
    await reload({ tls: own });
    await until(
      /^failing$/,
      all(/key_file \/.*own\.key is not the key of the certificate in cert_file \/.*own\.pem \(CN=backend\)/),
    );
    await reload({ port: backends.plainPort, grpcPort: backends.plainPort });
    await until(/^failing$/, {
      [SCRAPE]: /does not speak TLS on this port: set scheme = "http" or another port/,
      [WRITE]: /does not speak TLS on this port: use http:\/\/ or another port/,
      [OTLP_HTTP]: /does not speak TLS on this port: use http:\/\/ or another port/,
      [OTLP_GRPC]: /does not speak TLS on this port: set `insecure = true` in the `tls` block or another port/,
    });
    await reload({ scheme: "http", ca: "" });
    await until(/^failing$/, {
      [SCRAPE]: /if it wants TLS, set scheme = "https"/,
      [WRITE]: /if it wants TLS, use https:\/\//,
      [OTLP_HTTP]: /if it wants TLS, use https:\/\//,
      [OTLP_GRPC]: /if it wants TLS, leave `insecure` out of the `tls` block/,
    });
    await reload({});
    await until(/^ok$/, all(/^$/));
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    assert.equal(await agent.stop(), 0);
  });

  test("insecure_skip_verify is warned of once for each block; a server's own certificate that expired", async (t) => {
    const { agent, file, until, reload } = await prepare(t);
    await reload({ ca: "", tls: "insecure_skip_verify = true" });
    await until(/^ok$/, all(/^$/));
    const warnings = () =>
      agent.log.split("\n").filter((line) => line.includes("`insecure_skip_verify` has any certificate"));
    assert.equal(warnings().length, CLIENTS.length);
    for (const line of warnings()) {
      assert.match(
        line,
        /level=warn .* at=\S*config\.alloy:\d+:\d+ hint="set `ca_file` to the authority's certificate/,
      );
    }
    const port = await freePort();
    const receiver = ({ cert, key }: TestCertificate) => `otelcol.receiver.otlp "s" {
  http {
    endpoint = "127.0.0.1:${port}"
    tls {
      cert_file = "${file("server.pem", cert)}"
      key_file  = "${file("server.key", key)}"
    }
  }
  output {
    traces = [otelcol.exporter.debug.s.input]
  }
}
otelcol.exporter.debug "s" { }
`;
    assert.equal((await agent.reload(receiver(expired))).status, 200);
    const flow = await agent.untilRule("otelcol.receiver.otlp.s", "http_certificate", "degraded");
    assert.match(
      flow.cause,
      /^http: the certificate in cert_file \/.*server\.pem \(CN=test\) expired on \d{4}-\d\d-\d\d: renew it; clients refuse it$/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=otelcol\.receiver\.otlp\.s cause="http: the cert/,
    );
    assert.equal(await agent.stop(), 0);
  });
});
