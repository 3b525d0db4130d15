import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { ManualClock } from "#base/manual-clock.testing";
import { until } from "#base/until.testing";
import type { Secret } from "#lang/value";
import { startComponent } from "#pipeline/testing";
import vaultComponent from "./remote.vault.ts";

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly token: string | undefined;
  readonly namespace: string | undefined;
  readonly body: Record<string, unknown>;
}

/** As much of Vault as the component needs: logins that give numbered tokens, and one secret for those who have the last one. */
async function startVault(t: TestContext) {
  const self = {
    url: "",
    asked: [] as Asked[],
    secret: { user: "shop", password: "swordfish" } as Record<string, unknown>,
    tokens: 0,
    token: "",
    tokenLease: { lease_duration: 0, renewable: false },
    renewed: { lease_duration: 0, renewable: false },
    secretLease: 0,
    status: 0,
  };
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const header = (name: string) => request.headers[name] as string | undefined;
    const { pathname: path } = new URL(request.url!, "http://local");
    self.asked.push({
      method: request.method!,
      path,
      token: header("x-vault-token"),
      namespace: header("x-vault-namespace"),
      body: body === "" ? {} : JSON.parse(body),
    });
    const answer = (status: number, content: object) => {
      response.writeHead(status).end(JSON.stringify(content));
    };
    if (self.status > 0) return answer(self.status, { errors: ["out of order"] });
    if (path === "/v1/sys/wrapping/unwrap")
      return answer(200, { data: { secret_id: `unwrapped ${header("x-vault-token")}` } });
    if (path === "/v1/auth/token/renew-self") {
      return answer(200, { auth: { client_token: self.token, ...self.renewed } });
    }
    if (path.includes("/login")) {
      self.token = `token-${++self.tokens}`;
      return answer(200, { request_id: "r", auth: { client_token: self.token, ...self.tokenLease } });
    }
    if (header("x-vault-token") !== self.token) return answer(403, { errors: ["permission denied"] });
    if (!path.startsWith("/v1/secret/data/shop/")) return answer(404, { errors: [] });
    answer(200, { request_id: "read", lease_duration: self.secretLease, data: { data: self.secret, metadata: {} } });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  self.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return self;
}

const config = (url: string, auth: string, more = 'path = "secret/shop/database"') =>
  `server = "${url}"\n${more}\nclient_options {\n min_retry_wait = "1ms"\n max_retry_wait = "2ms"\n}\n${auth}`;
const USER = 'auth.userpass {\n username = "anna"\n password = "p"\n}';

function revealed(data: ReadonlyMap<string, Secret>): Record<string, string> {
  return Object.fromEntries([...data].map(([name, value]) => [name, value.reveal()]));
}

test("a secret is there from the start, as secrets", async (t) => {
  const vault = await startVault(t);
  vault.token = "root";
  vault.secret = { user: "shop", password: "swordfish", port: 5432 };
  const auth = 'auth.token {\n token = "root"\n}';
  await using component = await startComponent(
    vaultComponent,
    config(vault.url, auth, 'namespace = "team"\npath = "secret/shop/database"'),
  );
  assert.deepEqual(revealed(component.exports.data), { user: "shop", password: "swordfish" });
  const [read] = vault.asked;
  assert.deepEqual(
    [read!.method, read!.path, read!.token, read!.namespace],
    ["GET", "/v1/secret/data/shop/database", "root", "team"],
  );
  assert.match(JSON.stringify(component.logs), /is no string and is left out.*port/);
  assert.ok(!JSON.stringify([component.logs, component.instance.debugInfo!()]).includes("swordfish"));
});

test("a mount with slashes in its name is told from the secret by `key`", async (t) => {
  const vault = await startVault(t);
  await using component = await startComponent(
    vaultComponent,
    config(vault.url, USER, 'path = "secret"\nkey = "shop/a b"'),
  );
  assert.equal(component.exports.data.size, 2);
  assert.equal(vault.asked.at(-1)!.path, "/v1/secret/data/shop/a%20b");
});

const folder = mkdtempSync(join(tmpdir(), "vault-"));
writeFileSync(join(folder, "token"), "service-account\n");
process.on("exit", () => rmSync(folder, { recursive: true }));

for (const [kind, args, path, body] of [
  ["approle", 'role_id = "r"\nsecret = "s"', "/v1/auth/approle/login", { role_id: "r", secret_id: "s" }],
  [
    "approle",
    'role_id = "r"\nsecret = "w"\nwrapping_token = true\nmount_path = "other"',
    "/v1/auth/other/login",
    { role_id: "r", secret_id: "unwrapped w" },
  ],
  ["userpass", 'username = "anna"\npassword = "p"', "/v1/auth/userpass/login/anna", { password: "p" }],
  ["ldap", 'username = "a/b"\npassword = "p"', "/v1/auth/ldap/login/a/b", { password: "p" }],
  [
    "kubernetes",
    `role = "k"\nservice_account_file = "${folder}/token"`,
    "/v1/auth/kubernetes/login",
    { role: "k", jwt: "service-account" },
  ],
  ["custom", 'path = "auth/mine/login"\ndata = { a = "1" }\nnamespace = "n"', "/v1/auth/mine/login", { a: "1" }],
] as const) {
  test(`login by ${kind}${path.includes("other") ? ", wrapped" : ""}`, async (t) => {
    const vault = await startVault(t);
    await using component = await startComponent(vaultComponent, config(vault.url, `auth.${kind} {\n${args}\n}`));
    assert.equal(component.exports.data.size, 2);
    const login = vault.asked.find((each) => each.path === path)!;
    assert.deepEqual(login.body, body);
    assert.equal(login.method, "PUT");
    assert.equal(login.namespace, kind === "custom" ? "n" : undefined);
    assert.equal(vault.asked.at(-1)!.token, "token-1");
  });
}

test("a token is renewed before it ends, and a new one taken when that does not help", async (t) => {
  const vault = await startVault(t);
  vault.tokenLease = { lease_duration: 300, renewable: true };
  vault.renewed = { lease_duration: 300, renewable: true };
  const clock = new ManualClock();
  await using component = await startComponent(vaultComponent, config(vault.url, USER), { clock });
  const count = (path: string) => vault.asked.filter((each) => each.path.includes(path)).length;
  await clock.advance(190_000);
  assert.equal(count("renew-self"), 0);
  await clock.advance(20_000);
  await until(() => count("renew-self") === 1, "the token is renewed");
  assert.deepEqual(vault.asked.at(-1)!.body, { increment: 300 });
  assert.equal(count("/login"), 1);
  vault.renewed = { lease_duration: 20, renewable: true }; // as when its longest life is near
  await until(() => component.flow.status.state === "ok", "it settles");
  await clock.advance(210_000);
  await until(() => count("/login") === 2, "a new token is taken");
});

test("the secret is read again, changes are exported, and an outage keeps the last one", async (t) => {
  const vault = await startVault(t);
  const clock = new ManualClock();
  const more = 'path = "secret/shop/database"\nreread_frequency = "1m"';
  await using component = await startComponent(vaultComponent, config(vault.url, USER, more), { clock });
  vault.secret = { password: "new" };
  await clock.advance(61_000);
  await until(() => component.exports.data.get("password")?.reveal() === "new", "the change");
  vault.status = 503;
  await clock.advance(61_000);
  await until(() => component.problem !== undefined, "the outage shows");
  assert.match(
    component.problem!,
    /failed to read the secret: Vault refuses secret\/data\/shop\/database \(503: out of order\): it is sealed/,
  );
  assert.match(component.flow.status.cause ?? "", /What was read .* ago is in use/);
  assert.equal(component.exports.data.get("password")?.reveal(), "new");
  vault.status = 0;
  vault.secret = { password: "newest" };
  await clock.advance(11_000);
  await until(() => component.problem === undefined, "it is well again");
  assert.equal(component.exports.data.get("password")?.reveal(), "newest");
});

test("a token that was revoked is replaced", async (t) => {
  const vault = await startVault(t);
  vault.tokenLease = { lease_duration: 3_000, renewable: true };
  const clock = new ManualClock();
  const more = 'path = "secret/shop/database"\nreread_frequency = "1m"';
  await using component = await startComponent(vaultComponent, config(vault.url, USER, more), { clock });
  vault.token = "revoked";
  await clock.advance(61_000);
  await until(() => vault.tokens === 2 && vault.asked.at(-1)!.path.includes("/data/"), "a new token reads it");
  assert.equal(component.problem, undefined);
});

test("what Vault refuses is said with what to do", async (t) => {
  const vault = await startVault(t);
  const start = (text: string) => startComponent(vaultComponent, text);
  vault.token = "root";
  await assert.rejects(
    start(config(vault.url, 'auth.token {\n token = "wrong"\n}')),
    /Vault refuses secret\/data\/shop\/database \(403: permission denied\): check the credentials/,
  );
  await assert.rejects(start(config(vault.url, USER, 'path = "secret/gone/x"')), /404.*there is no such secret/);
  vault.secret = null as unknown as Record<string, unknown>;
  await assert.rejects(start(config(vault.url, USER)), /holds no secret of KV version 2/);
  await assert.rejects(start(config("http://127.0.0.1:1", USER)), /127\.0\.0\.1:1/);
  await assert.rejects(start(config(vault.url, "")), /`auth` must be there exactly once, not 0 times/);
  await assert.rejects(start(config(vault.url, `${USER}\n${USER}`)), /exactly once, not 2 times/);
  await assert.rejects(start(config(vault.url, USER, 'path = "secret"')), /has no slash behind the mount/);
});
