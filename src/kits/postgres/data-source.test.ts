import assert from "node:assert/strict";
import { userInfo } from "node:os";
import { test } from "node:test";
import fc from "fast-check";
import { DataSourceError, parsePostgresDataSource, withDatabase } from "./data-source.ts";

const parse = (text: string, environment: Record<string, string> = {}) => parsePostgresDataSource(text, environment);

test("a URL has user, password, host, port, database and parameters", () => {
  const source = parse(
    "postgres://mo%40nitor:p%2Fw%3A1@db.example:6432/my%20app?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=3&application_name=a+b&search_path=x%2C+y",
  );
  assert.deepEqual(source.hosts, [{ host: "db.example", address: undefined, port: 6432 }]);
  assert.equal(source.user, "mo@nitor");
  assert.equal(source.password, "p/w:1");
  assert.equal(source.database, "my app");
  assert.equal(source.sslMode, "verify-full");
  assert.equal(source.sslRootCert, "/etc/ca.pem");
  assert.equal(source.connectTimeoutMs, 3000);
  assert.equal(source.applicationName, "a b");
  assert.equal(source.options, "-c search_path=x,\\ y");
  assert.equal(source.server, "db.example:6432");
  assert.equal(source.instance, "postgresql://db.example:6432/my app");
  assert.equal(withDatabase(source, "other").database, "other");
});

test("what is not given has lib/pq's defaults, and labels have Alloy's", () => {
  const source = parse("postgresql://");
  const { username } = userInfo();
  assert.deepEqual(source.hosts, [{ host: "localhost", address: undefined, port: 5432 }]);
  assert.deepEqual([source.user, source.database, source.password], [username, username, undefined]);
  assert.deepEqual([source.sslMode, source.sslNegotiation, source.session], ["require", "postgres", "any"]);
  assert.equal(source.connectTimeoutMs, undefined);
  assert.deepEqual([source.server, source.instance], ["localhost:5432", "postgresql://localhost:5432/"]);
  // Without a port the instance has none either.
  assert.equal(parse("postgres://u@db.example/app").instance, "postgresql://db.example/app");
  assert.equal(parse("postgres://u@db.example/app").server, "db.example:5432");
  assert.equal(parse("postgres://u@[::1]:1/app").hosts[0]!.host, "::1");
});

test("a list of pairs may have quotes, escapes and spaces", () => {
  const source = parse("host = '/var/run/post gres' user=mo\\ ni\\'tor password = 'it\\'s' ");
  assert.equal(source.hosts[0]!.host, "/var/run/post gres");
  assert.equal(source.user, "mo ni'tor");
  assert.equal(source.password, "it's");
  assert.equal(source.sslMode, "disable"); // TLS is for TCP
  assert.equal(parse("user=a password='' dbname=b").password, "");
  assert.equal(parse("user=a password= b").password, "b"); // as in libpq
  assert.equal(parse("host=h user=").user, userInfo().username);
});

test("several hosts have one port or each its own", () => {
  const hosts = (text: string) => parse(text).hosts.map(({ host, address, port }) => [host, address, port]);
  assert.deepEqual(hosts("host=a,b port=1,2"), [
    ["a", undefined, 1],
    ["b", undefined, 2],
  ]);
  assert.deepEqual(hosts("postgres://u@a,b/x?port=7"), [
    ["a", undefined, 7],
    ["b", undefined, 7],
  ]);
  assert.deepEqual(hosts("host=db hostaddr=10.0.0.1,10.0.0.2"), [
    ["db", "10.0.0.1", 5432],
    ["db", "10.0.0.2", 5432],
  ]);
  assert.throws(() => parse("host=a,b port=1,2,3"), /port must have one number/);
  assert.throws(() => parse("host=a,b hostaddr=10.0.0.1"), /same number/);
});

test("environment variables stand behind what is given", () => {
  const environment = { PGHOST: "from-env", PGUSER: "env-user", PGSSLMODE: "disable", PGPASSWORD: "secret" };
  const source = parse("postgresql://given@/app", environment);
  assert.deepEqual([source.hosts[0]!.host, source.user, source.sslMode], ["from-env", "given", "disable"]);
  assert.equal(source.password, "secret");
  assert.equal(source.server, "localhost:5432"); // labels go by the data source name alone, as in Alloy
  assert.throws(() => parse("host=a", { PGSSLCRL: "/crl.pem" }), /sslcrl cannot be used/);
});

test("what cannot be honoured is refused with the reason", () => {
  const refusals: Readonly<Record<string, RegExp>> = {
    "": /it is empty/,
    "just words": /neither a URL .* nor a list/,
    "user=a secret words": /neither a URL/,
    "password='open": /neither a URL/,
    "mysql://u:p@h/d": /neither a URL/,
    "host=a sslmode=maybe": /sslmode must be one of disable, allow, prefer/,
    "host=a port=0": /between 1 and 65535/,
    "host=a port=abc": /between 1 and 65535/,
    "host=a connect_timeout=soon": /whole number of seconds/,
    "host=a sslnegotiation=direct sslmode=prefer": /sslnegotiation=direct needs/,
    "host=a sslrootcert=system sslmode=require": /needs sslmode=verify-full/,
    "host=a ssl_min_protocol_version=SSLv3": /TLSv1.2 or TLSv1.3/,
    "host=a sslsni=0": /sslsni=0 is not supported/,
    "host=a min_protocol_version=3.2": /min_protocol_version must be 3.0/,
    "host=a client_encoding=LATIN1": /client_encoding must be UTF8/,
    "host=a datestyle=SQL": /datestyle must be/,
    "host=a service=x": /service files are not read/,
    "host=a krbsrvname=x": /Kerberos is not supported/,
    "host=a channel_binding=require": /cannot be demanded/,
    "host=a target_session_attrs=best": /target_session_attrs must be one of/,
    "host=a bad-name=1": /name cannot be one/,
    "postgres://u:p@ss@h:12x/d": /host and port cannot be read/,
    "postgres://u:p/w@h/d": /@ behind the first \//,
    "postgres://u:p?w@h/d": /@ behind the first \//,
    "postgres://u:100%@h/d": /% that no two/,
  };
  for (const [text, message] of Object.entries(refusals)) {
    assert.throws(
      () => parse(text),
      (error) => error instanceof DataSourceError && message.test(error.message),
      text,
    );
  }
  assert.equal(parse("host=a sslrootcert=system").sslMode, "verify-full");
  assert.equal(parse("host=a sslsni=1 client_encoding=utf-8 max_protocol_version=latest").options, "");
});

test("property: what is escaped comes back, and errors show nothing of it", () => {
  const word = fc.string({ unit: "binary", minLength: 1, maxLength: 12 }).filter((text) => !text.includes("\0"));
  fc.assert(
    fc.property(word, word, word, (user, password, database) => {
      const [u, p, d] = [user, password, database].map(encodeURIComponent);
      const source = parse(`postgresql://${u}:${p}@h:1/${d}`);
      assert.deepEqual([source.user, source.password, source.database], [user, password, database]);
      const quote = (text: string) => `'${text.replace(/['\\]/g, "\\$&")}'`;
      const pairs = parse(`user=${quote(user)} password=${quote(password)} dbname=${quote(database)}`);
      assert.deepEqual([pairs.user, pairs.password, pairs.database], [user, password, database]);
    }),
  );
  const anything = fc.string({ unit: fc.constantFrom(..."ab:/@?#%=&' \\1"), maxLength: 20 });
  fc.assert(
    fc.property(anything, anything, (before, after) => {
      for (const text of [`postgres://u:${before}Qz7${after}@h/d`, `password=${before}Qz7${after} host=h`]) {
        try {
          const { server, instance } = parse(text);
          // Whatever looks like a whole data source name is taken at its word, but then it was one.
          if (text.includes("@h/d") && !/[/?#@:]/.test(before + after))
            assert.ok(!`${server}${instance}`.includes("Qz7"));
        } catch (error) {
          assert.ok(error instanceof DataSourceError);
          assert.ok(!error.message.includes("Qz7"), error.message);
        }
      }
    }),
  );
});
