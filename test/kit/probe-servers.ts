import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createSecureServer } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import { brotliCompressSync, deflateRawSync, gzipSync } from "node:zlib";
import * as grpc from "@grpc/grpc-js";
import { cleanUp } from "#base/clean-up.testing";
import type { TestCertificate } from "#kits/certificates.testing";
import { freePort, WAIT_MS, waitUntil } from "./process.ts";

/** Servers that probes are tried on, on free ports of loopback. All of them end with the test. */

async function listen(t: TestContext, server: Server, host = "127.0.0.1"): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, host);
  await once(server, "listening");
  cleanUp(t, async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

const TEXT = "hello, probe: all is well\n".repeat(40);

/** What the servers answer by path. */
function answer(request: IncomingMessage, response: ServerResponse): undefined {
  const { pathname, searchParams } = new URL(request.url!, "http://localhost");
  const [, name, argument] = pathname.split("/");
  const send = (status: number, headers: Record<string, string | string[]>, body: string | Buffer = ""): undefined => {
    response.writeHead(status, headers);
    response.end(request.method === "HEAD" ? undefined : body);
  };
  switch (name) {
    case "ok":
      return send(200, { "content-length": String(TEXT.length) }, TEXT);
    case "chunked":
      return send(200, { "x-colour": ["red", "green"], "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT" }, TEXT);
    case "status":
      return send(Number(argument), {});
    case "redirect":
      return send(Number(argument), { location: searchParams.get("to")! }, "moved");
    case "loop":
      return send(302, { location: "/loop" });
    case "gzip":
      return send(200, { "content-encoding": "gzip" }, gzipSync(TEXT));
    case "br":
      return send(200, { "content-encoding": "br" }, brotliCompressSync(TEXT));
    case "deflate":
      return send(200, { "content-encoding": "deflate" }, deflateRawSync(TEXT));
    case "login":
      if (request.headers.cookie !== undefined) return send(200, {}, "welcome back");
      return send(302, { location: "/login", "set-cookie": "session=1; Path=/" });
    case "echo": {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { host, authorization, referer } = request.headers;
        const own = { "x-own": request.headers["x-own"], agent: request.headers["user-agent"]?.split("/")[0] };
        const said = {
          method: request.method,
          host,
          authorization,
          referer,
          ...own,
          body: String(Buffer.concat(chunks)),
        };
        send(200, {}, JSON.stringify(said));
      });
      return undefined;
    }
    case "slow":
      return undefined;
    default:
      return send(404, {});
  }
}

export function startHttpServer(t: TestContext): Promise<number> {
  return listen(t, createHttpServer(answer));
}

/** Speaks HTTP/2 and HTTP/1.1. */
export function startHttpsServer(t: TestContext, certificate: TestCertificate): Promise<number> {
  const server = createSecureServer({ ...certificate, allowHTTP1: true }, (request, response) =>
    answer(request as unknown as IncomingMessage, response as unknown as ServerResponse),
  );
  return listen(t, server as unknown as Server);
}

/** A proxy for plain requests and for CONNECT, for which all hosts are this machine. */
export function startProxy(t: TestContext): Promise<number> {
  const server = createHttpServer((from, to) => {
    const url = new URL(from.url!);
    const onward = request(
      { host: "127.0.0.1", port: url.port, path: url.pathname, headers: from.headers },
      (answered) => {
        to.writeHead(answered.statusCode!, answered.headers);
        answered.pipe(to);
      },
    );
    from.pipe(onward);
  });
  server.on("connect", (from: IncomingMessage, socket: Socket) => {
    const [, port] = from.url!.split(":");
    const onward = connect(Number(port), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.pipe(socket).pipe(onward);
    });
    for (const each of [socket, onward]) each.on("error", () => {});
  });
  return listen(t, server);
}

/** A mail server of a few words, which can go over to TLS. */
export function startMailServer(t: TestContext, certificate: TestCertificate): Promise<number> {
  const talk = (socket: Socket) => {
    socket.on("data", (data: Buffer) => {
      for (const line of data.toString().split("\n").filter(Boolean)) {
        const [word, argument] = line.trim().split(" ");
        if (word === "EHLO") socket.write(`250-mail.test greets ${argument}\r\n250 STARTTLS\r\n`);
        else if (word === "QUIT") socket.end("221 bye\r\n");
        else if (word === "STARTTLS") {
          socket.removeAllListeners("data");
          socket.write("220 go ahead\r\n", () => talk(new TLSSocket(socket, { isServer: true, ...certificate })));
        } else socket.write("500 what?\r\n");
      }
    });
    socket.on("error", () => {});
  };
  return listen(
    t,
    createServer((socket) => {
      socket.write("220 mail.test ready\r\n");
      talk(socket);
    }),
  );
}

/** Greets, and closes. */
export function startTlsBanner(t: TestContext, certificate: TestCertificate): Promise<number> {
  return listen(
    t,
    createTlsServer(certificate, (socket) => void socket.on("error", () => {}).end("SSH-2.0-test\n")),
  );
}

/** Accepts connections and says nothing. */
export function startSilentServer(t: TestContext): Promise<number> {
  return listen(
    t,
    createServer(() => {}),
  );
}

/** Puts TLS before a server that has none. */
export function startTlsFront(t: TestContext, certificate: TestCertificate, port: number): Promise<number> {
  return listen(
    t,
    createTlsServer(certificate, (socket) => {
      const onward = connect(port, "127.0.0.1");
      for (const each of [socket, onward]) each.on("error", () => {});
      socket.pipe(onward).pipe(socket);
    }),
  );
}

/** Debian's dnsmasq with these options; names outside of `test` it refuses. */
export async function startDnsServer(t: TestContext, records: readonly string[]): Promise<number> {
  const port = await freePort();
  const options = ["keep-in-foreground", "conf-file=/dev/null", "no-resolv", "no-hosts", "user=", "pid-file="];
  options.push(`port=${port}`, "listen-address=127.0.0.1", "bind-interfaces", "local=/test/", ...records);
  const child: ChildProcess = spawn(
    "/usr/sbin/dnsmasq",
    options.map((each) => `--${each}`),
    { stdio: "ignore" },
  );
  const gone = once(child, "exit");
  cleanUp(t, async () => {
    child.kill();
    await gone;
  });
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("close", () => socket.destroy());
      socket.once("connect", () => socket.destroy());
    });
  await waitUntil(answers, WAIT_MS, "dnsmasq answers");
  return port;
}

const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };
const HEALTH_SERVICE: grpc.ServiceDefinition = {
  Check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  },
};

/** A server of grpc-js that is healthy but for the service `sick`, and knows `""`, `good` and `sick`. */
export async function startHealthServer(t: TestContext, certificate?: TestCertificate): Promise<number> {
  const server = new grpc.Server();
  server.addService(HEALTH_SERVICE, {
    Check(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
      const service = call.request.subarray(2).toString();
      if (service === "slow") return;
      if (!["", "good", "sick"].includes(service)) done({ code: grpc.status.NOT_FOUND, details: "unknown service" });
      else done(null, Buffer.from([8, service === "sick" ? 2 : 1]));
    },
  });
  const credentials =
    certificate === undefined
      ? grpc.ServerCredentials.createInsecure()
      : grpc.ServerCredentials.createSsl(null, [
          { private_key: Buffer.from(certificate.key), cert_chain: Buffer.from(certificate.cert) },
        ]);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  cleanUp(t, () => server.forceShutdown());
  return port;
}
