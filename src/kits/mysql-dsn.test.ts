import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MysqlDsnError, mysqlInstance, parseMysqlDsn } from "./mysql-dsn.ts";

test("a data source name is read as go-sql-driver reads it", () => {
  const cases: readonly (readonly [text: string, user: string, password: string, instance: string])[] = [
    ["user:password@tcp(db.example.com:3307)/shop", "user", "password", "tcp(db.example.com:3307)/shop"],
    ["root@(server-a:3306)/", "root", "", "tcp(server-a:3306)/"],
    ["user:p@ss/w:rd@tcp(localhost)/", "user", "p@ss/w:rd", "tcp(localhost:3306)/"],
    ["user@unix(/var/run/mysqld/mysqld.sock)/db?tls=false", "user", "", "unix(/var/run/mysqld/mysqld.sock)/db"],
    ["user:pw@tcp([de:ad:be:ef::1]:80)/", "user", "pw", "tcp([de:ad:be:ef::1]:80)/"],
    ["user:pw@tcp(de:ad:be:ef::1)/", "user", "pw", "tcp([de:ad:be:ef::1]:3306)/"],
    ["user:pw@unix/", "user", "pw", "unix(/tmp/mysql.sock)/"],
    ["/", "", "", "tcp(127.0.0.1:3306)/"],
    ["", "", "", "tcp(127.0.0.1:3306)/"],
    ["user@/a%2Fb+c", "user", "", "tcp(127.0.0.1:3306)/a/b+c"],
  ];
  for (const [text, user, password, instance] of cases) {
    const dsn = parseMysqlDsn(text);
    assert.deepEqual([dsn.user, dsn.password, mysqlInstance(dsn)], [user, password, instance], text);
  }
});

test("parameters are the driver's, or system variables of the session", () => {
  const dsn = parseMysqlDsn(
    "u@/db?timeout=90s&readTimeout=1m&parseTime=true&charset=utf8mb4,utf8&compress=1&allowCleartextPasswords=True" +
      "&connectionAttributes=program_name:x,a:b&sql_mode=%27ANSI%27&tx_isolation='READ+COMMITTED'&flag",
  );
  assert.equal(dsn.connectTimeoutMs, 90_000);
  assert.equal(dsn.readTimeoutMs, 60_000);
  assert.ok(dsn.compress && dsn.allowCleartextPasswords && !dsn.allowPlaintext);
  assert.deepEqual(
    [...dsn.variables],
    [
      ["sql_mode", "'ANSI'"],
      ["tx_isolation", "'READ COMMITTED'"],
    ],
  );
  assert.deepEqual(
    [...dsn.connectionAttributes],
    [
      ["program_name", "x"],
      ["a", "b"],
    ],
  );
});

test("TLS is off, verified, not verified, or taken where it is there", () => {
  const tls = (value: string) => parseMysqlDsn(`u@/?tls=${value}`).tls;
  assert.deepEqual(["true", "1", "false", "skip-verify", "PREFERRED"].map(tls), [
    "verify",
    "verify",
    "off",
    "skip-verify",
    "preferred",
  ]);
  assert.equal(parseMysqlDsn("u@/").tls, "off");
  assert.ok(parseMysqlDsn("u@/?tls=preferred").allowPlaintext);
  assert.ok(parseMysqlDsn("u@/?tls=true&allowFallbackToPlaintext=true").allowPlaintext);
});

test("what is not supported is refused with what to write, and without the password", () => {
  const cases: readonly (readonly [text: string, message: RegExp])[] = [
    ["user:hidden@tcp(host)", /has no slash before the name of the database; write user:password@tcp\(host:3306\)\//],
    ["user:hidden@tcp(host/", /has a \( after the network and no \)/],
    ["user:hidden@udp(host)/", /use tcp\(host:port\) or unix/],
    ["user:hidden@tcp(a b)/", /names no host that there can be/],
    ["user:hidden@/?tls=custom", /tls mode that only a program can register/],
    ["user:hidden@/?tls=true&compress=maybe", /a compress that is neither true nor false/],
    ["user:hidden@/?timeout=soon", /a timeout that is no duration/],
    ["user:hidden@/?allowOldPasswords=true", /before MySQL 4\.1/],
    ["user:hidden@/?allowNativePasswords=false", /allowNativePasswords=false/],
    ["user:hidden@/?serverPubKey=x", /serverPubKey/],
    ["user:hidden@/?strict=true", /strict/],
    ["user:hidden@/?a b=1", /name is no system variable/],
    ["user:hidden@/%zz", /a % in the name of the database/],
    ["user:hidden@/?sql_mode=%zz", /a % in the parameter sql_mode/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseMysqlDsn(text),
      (error: Error) => {
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /hidden/);
        return error instanceof MysqlDsnError;
      },
    );
  }
});

test("whatever is written is read or refused", () => {
  const piece = fc.oneof(
    fc.constantFrom("@", ":", "/", "(", ")", "?", "&", "=", "tcp", "unix", "tls", "%"),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      try {
        assert.match(mysqlInstance(parseMysqlDsn(pieces.join(""))), /^(tcp|unix)\(/);
      } catch (error) {
        assert.ok(error instanceof MysqlDsnError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
