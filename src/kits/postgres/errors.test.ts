import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePostgresDataSource } from "./data-source.ts";
import { explainPostgres, PostgresError } from "./errors.ts";

const source = parsePostgresDataSource("postgresql://monitor:hush@db.example/app?sslmode=disable", {});

function explain(code: string, message: string, more: object = {}, from = source): [kind: string, message: string] {
  const error = explainPostgres(Object.assign(new Error(message), { code, ...more }), from, from.hosts[0]!, undefined);
  return [error.kind, error.message];
}

test("what the server says to a login has its kind and what to do", () => {
  const at = "db.example:5432";
  assert.deepEqual(explain("28P01", "password authentication failed"), [
    "password",
    `${at} refuses the password of the role "monitor": check both`,
  ]);
  const entry = 'no pg_hba.conf entry for host "10.0.0.1", user "monitor", database "app", no encryption';
  assert.deepEqual(explain("28000", entry), [
    "access",
    `${at} admits nobody like this: ${entry}: add one there, or set sslmode=require if the server wants TLS`,
  ]);
  assert.match(explain("3D000", "x")[1], /has no database "app"/);
  assert.match(
    explain("42501", "permission denied for database")[1],
    /GRANT CONNECT on the database "app" to "monitor"/,
  );
  assert.deepEqual(explain("53300", "sorry, too many clients already")[0], "busy");
  assert.match(
    explain("57P03", "the database system is starting up")[1],
    /does not accept connections yet: the database/,
  );
  assert.equal(explain("08P01", "no such user", { hint: "ask" })[1], `${at}: no such user (ask)`);
  assert.equal(explain("", "The server does not support SSL connections")[0], "no_tls");
  assert.equal(explain("", "SASL: only mechanisms nobody has")[0], "password");
  assert.deepEqual(explain("ECONNREFUSED", "refused"), [
    "connection",
    `${at} refuses connections: nothing listens there`,
  ]);
  assert.equal(explain("ETIMEDOUT", "slow")[0], "timeout");
});

test("sockets are named by their path", () => {
  const socket = parsePostgresDataSource("host=/run/pg user=u", {});
  const text = (code: string) => explain(code, "x", {}, socket)[1];
  assert.equal(text("ENOENT"), "the socket /run/pg/.s.PGSQL.5432 is not there: is the server running");
  assert.equal(text("EACCES"), "the socket /run/pg/.s.PGSQL.5432 may not be opened: check its permissions");
  assert.equal(text("ECONNREFUSED"), "/run/pg/.s.PGSQL.5432: x");
});

test("a query's error has the right or the extension that is missing", () => {
  const of = (code: string, isLost = false) =>
    PostgresError.ofQuery(Object.assign(new Error("words"), { code }), isLost);
  assert.match(of("42501").message, /^words: GRANT pg_monitor to the role/);
  assert.equal(of("42501").kind, "privilege");
  assert.match(of("42P01").message, /^words: create it, or CREATE EXTENSION/);
  assert.match(of("57014").message, /statement_timeout/);
  assert.deepEqual([of("57P01").kind, of("22012").kind], ["connection", "query"]);
  assert.equal(of("ECONNRESET", true).message, "the connection was lost: words");
});
