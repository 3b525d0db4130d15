import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { runInvar, startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";

const authorization = (user: string, password: string) => ({
  headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` },
});

const auth = (filter = "") => `http {
  auth {
    basic {
      username = "me"
      password = "pass:word"
    }
    ${filter}
  }
}
`;

test("basic authentication guards every path, or those that the filter says", async (t) => {
  const agent = await startAgent(t, "");
  const status = async (path: string, init?: RequestInit) => (await agent.api(path, init)).status;
  assert.equal((await agent.reload(auth())).status, 200);
  for (const path of ["/metrics", "/-/ready", "/", "/api/v0/web/components", "/debug/pprof/"]) {
    const refused = await agent.api(path);
    assert.equal(refused.status, 401, path);
    assert.match(refused.headers.get("www-authenticate")!, /^Basic realm=/);
    assert.equal(await status(path, authorization("me", "pass:word")), 200, path);
  }
  for (const wrong of [
    authorization("me", "word"),
    authorization("you", "pass:word"),
    { headers: { authorization: "Basic !" } },
  ])
    assert.equal(await status("/metrics", wrong), 401);

  const me = authorization("me", "pass:word");
  agent.write(auth('filter {\n paths = ["/metrics", "/api"]\n authenticate_matching_paths = true\n}'));
  assert.equal(await status("/-/reload", { method: "POST", ...me }), 200);
  assert.equal(await status("/metrics"), 401);
  assert.equal(await status("/api/v0/web/peers"), 401);
  assert.equal(await status("/-/ready"), 200);

  agent.write(auth('filter {\n paths = ["/-/ready"]\n authenticate_matching_paths = false\n}'));
  assert.equal(await status("/-/reload", { method: "POST", ...me }), 200);
  assert.equal(await status("/-/ready"), 200);
  assert.equal(await status("/metrics"), 401);

  agent.write("");
  assert.equal(await status("/-/reload", { method: "POST", ...me }), 200);
  assert.equal(await status("/metrics"), 200, "without the block nothing is asked");
});

test("TLS with client certificates, and back to plain HTTP, without a restart", async (t) => {
  const certificates = makeCertificates(t);
  const agent = await startAgent(t, "");
  const tls = (more = "") => `http {
  tls {
    cert_file = "${certificates.path("server.pem")}"
    key_file  = "${certificates.path("server.key")}"
    ${more}
  }
}
`;
  const ask = (client?: string) =>
    new Promise<number>((resolve, reject) => {
      const options = {
        ca: certificates.read("ca.pem"),
        ...(client === undefined
          ? {}
          : { cert: certificates.read(`${client}.pem`), key: certificates.read(`${client}.key`) }),
        agent: false as const,
        timeout: 5_000,
      };
      const asked = request(`https://127.0.0.1:${agent.port}/-/ready`, options, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode!));
      });
      asked.on("timeout", () => asked.destroy(new Error("no answer")));
      asked.on("error", reject);
      asked.end();
    });
  assert.equal((await agent.reload(tls())).status, 200);
  await agent.until(async () => (await ask()) === 200, "HTTPS answers");
  await assert.rejects(agent.api("/-/ready"), "plain HTTP is over");

  const mutual = `client_ca_file   = "${certificates.path("ca.pem")}"\n client_auth_type = "RequireAndVerifyClientCert"`;
  agent.write(tls(mutual));
  agent.signal("SIGHUP");
  await agent.until(
    () =>
      ask().then(
        () => false,
        () => true,
      ),
    "clients without a certificate are refused",
  );
  await agent.until(async () => (await ask("client")) === 200, "a client with a certificate is let in");
  await assert.rejects(ask("stranger"), "another authority's certificate is none");

  agent.write("");
  agent.signal("SIGHUP");
  await agent.until(async () => (await agent.api("/-/ready")).status === 200, "plain HTTP is back");
  assert.equal(await agent.stop(), 0);
});

test("an agent that cannot read its certificate does not start, and says which file", async (t) => {
  const folder = temporaryFolder(t);
  const config = join(folder, "a.alloy");
  writeFileSync(config, 'http {\n  tls {\n    cert_file = "/none.pem"\n    key_file  = "/none.key"\n  }\n}\n');
  const flags = [`--server.http.listen-addr=127.0.0.1:${await freePort()}`, `--storage.path=${join(folder, "data")}`];
  const { code, stderr } = await runInvar(["run", ...flags, config]);
  assert.equal(code, 1);
  assert.match(stderr, /^Error: .*\/none\.(pem|key)/m);
});

/** A server's and a client's certificate of one authority, and a client's of another, made by OpenSSL. */
function makeCertificates(t: TestContext) {
  const folder = temporaryFolder(t);
  const path = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  for (const authority of ["ca", "other"]) {
    openssl(
      "req",
      "-x509",
      ...key,
      "-keyout",
      `${authority}.key`,
      "-out",
      `${authority}.pem`,
      "-days",
      "2",
      "-subj",
      `/CN=${authority}`,
    );
  }
  for (const [name, authority] of [
    ["server", "ca"],
    ["client", "ca"],
    ["stranger", "other"],
  ] as const) {
    openssl(
      "req",
      "-x509",
      ...key,
      "-CA",
      `${authority}.pem`,
      "-CAkey",
      `${authority}.key`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.pem`,
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
      "-addext",
      "subjectAltName=IP:127.0.0.1",
      "-addext",
      "basicConstraints=critical,CA:FALSE",
    );
  }
  return { path, read: (name: string) => readFileSync(path(name)) };
}
