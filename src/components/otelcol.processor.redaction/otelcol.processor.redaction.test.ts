import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { attributesOf, itemsIn, logsOf, startProcessor, tracesOf, valuesOf } from "#kits/otelcol/processor.testing";
import { decodeArguments } from "#pipeline/testing";
import definition from "./otelcol.processor.redaction.ts";

async function spanAfter(config: string, span: object) {
  await using processor = await startProcessor(definition, config);
  return itemsIn(await processor.run("traces", tracesOf([span])))[0]!;
}
const attributesAfter = async (config: string, before: Readonly<Record<string, unknown>>) =>
  valuesOf(await spanAfter(config, { attributes: attributesOf(before) }));

test("removes what is not allowed, masks what is blocked, leaves what is ignored, and says so", async () => {
  const config = `allowed_keys = ["card", "token", "note", "n", "fine"]
    ignored_keys = ["safe"]
    ignored_key_patterns = ["^safe_"]
    blocked_key_patterns = ["token"]
    blocked_values = ["4[0-9]{15}", "secret"]
    allowed_values = ["^4000"]
    summary = "debug"`;
  const card = "4111111111111111";
  assert.deepEqual(
    await attributesAfter(config, {
      card: `card ${card}, secret`,
      fine: "4000000000000000",
      token: 5n,
      note: "nothing",
      n: 7n,
      safe: card,
      safe_too: card,
      id: "1",
      "redaction.masked.keys": "before",
      "redaction.masked.count": 1n,
    }),
    {
      card: "card ****, ****",
      fine: "4000000000000000",
      token: "****",
      note: "nothing",
      n: "7n",
      safe: card,
      safe_too: card,
      "redaction.masked.keys": "before,card,token",
      "redaction.masked.count": "3n",
      "redaction.redacted.keys": "id",
      "redaction.redacted.count": "1n",
      "redaction.allowed.keys": "fine",
      "redaction.allowed.count": "1n",
      "redaction.ignored.count": "2n",
    },
  );
  assert.deepEqual(await attributesAfter('summary = "info"', { a: "1" }), { "redaction.redacted.count": "1n" });
  assert.deepEqual(await attributesAfter("", { a: "1" }), {});
});

test("all types, and hashes in the place of asterisks", async () => {
  const config = (more: string) => `allow_all_keys = true\n blocked_values = ["[0-9]{4}"]\n ${more}`;
  const before = { text: "pin 1234", n: 1234n };
  assert.deepEqual(await attributesAfter(config(""), before), { text: "pin ****", n: "1234n" });
  assert.deepEqual(await attributesAfter(config("redact_all_types = true"), before), { text: "pin ****", n: "****" });
  for (const [name, algorithm] of [
    ["SHA1", "sha1"],
    ["sha3", "sha3-256"],
    ["md5", "md5"],
  ] as const) {
    const digest = createHash(algorithm).update("1234").digest("hex");
    assert.equal((await attributesAfter(config(`hash_function = "${name}"`), before)).text, `pin ${digest}`);
  }
  for (const [name, bytes] of [
    ["sha256", 32],
    ["sha512", 64],
  ] as const) {
    const key = "k".repeat(bytes);
    const digest = createHmac(name, key).update("1234").digest("hex");
    const settings = config(`hash_function = "hmac-${name}"\n hmac_key = "${key}"`);
    assert.equal((await attributesAfter(settings, before)).text, `pin ${digest}`);
  }
});

test("resources, scopes, events and data points too", async () => {
  const attributes = attributesOf({ a: "1", b: "2" });
  await using processor = await startProcessor(definition, 'allowed_keys = ["a"]');
  const kept = attributesOf({ a: "1" });
  const spans = [{ attributes, events: [{ attributes }] }];
  assert.deepEqual(
    await processor.run("traces", {
      resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope: { attributes }, spans }] }],
    }),
    {
      resourceSpans: [
        {
          resource: { attributes: kept },
          scopeSpans: [{ scope: { attributes: kept }, spans: [{ attributes: kept, events: [{ attributes: kept }] }] }],
        },
      ],
    },
  );
  const metrics = (given: object) => ({
    resourceMetrics: [
      {
        scopeMetrics: [
          {
            metrics: ["gauge", "summary", "histogram"].map((type) => ({
              [type]: { dataPoints: [{ attributes: given }] },
            })),
          },
        ],
      },
    ],
  });
  assert.deepEqual(await processor.run("metrics", metrics(attributes)), metrics(kept));
});

test("bodies of log records, into lists and maps", async () => {
  await using processor = await startProcessor(
    definition,
    `allowed_keys = ["a", "password", "list", "map"]
     blocked_key_patterns = ["password"]
     blocked_values = ["secret"]
     summary = "debug"`,
  );
  const map = (values: Readonly<Record<string, unknown>>) => ({ kvlistValue: { values: attributesOf(values) } });
  const list = (...values: object[]) => ({ arrayValue: { values } });
  const [record, text] = itemsIn(
    await processor.run(
      "logs",
      logsOf([
        {
          body: map({
            a: "secret 1",
            password: "x",
            b: "gone",
            list: list({ stringValue: "secret" }, map({ a: "b", c: "d" })),
          }),
        },
        { body: { stringValue: "a secret" } },
      ]),
    ),
  );
  assert.deepEqual(record, {
    body: map({ a: "**** 1", password: "****", list: list({ stringValue: "****" }, map({ a: "b" })) }),
    attributes: attributesOf({
      "redaction.body.redacted.keys": "b,list.[1].c",
      "redaction.body.redacted.count": 2n,
      "redaction.body.masked.keys": "a,list.[0],password",
      "redaction.body.masked.count": 3n,
    }),
  });
  assert.deepEqual(text!.body, { stringValue: "a ****" });
});

test("ids in URLs, in attributes and names of spans", async () => {
  const config = 'allow_all_keys = true\n url_sanitizer {\n enabled = true\n attributes = ["url.path"]\n}';
  const cleaned: Readonly<Record<string, string>> = {
    "/users/fdklsd/j4elk/23993/job/2": "/users/*/j4elk/*/job/*",
    "/v1/products/22j": "/v1/products/*",
    "/api/hello.world?id=5": "/api/hello.world",
    "/attach12?x": "/*",
    "/products//org/3": "/products//org/*",
    "/a/b/c/d/e/f/g/h/i/j": "/a/b/c/d/e/f/g/h/i",
    "/Benutzer/é1": "/Benutzer/*",
    "": "",
  };
  for (const [path, clean] of Object.entries(cleaned)) {
    assert.equal((await attributesAfter(config, { "url.path": path }))["url.path"], clean);
  }
  const name = async (span: object, more = config) => (await spanAfter(more, span)).name;
  assert.equal(await name({ name: "GET /users/42?x", kind: 3 }), "GET /users/*");
  assert.equal(await name({ name: "/42", kind: 3 }), "/42");
  assert.equal(await name({ name: "/users/42", kind: 1 }), "/users/42");
  assert.equal(
    await name({ name: "operation12", kind: 2, attributes: attributesOf({ "http.method": "GET" }) }),
    "operation12",
  );
  assert.equal(
    await name({ name: "/users/42", kind: 3 }, config.replace("enabled", "sanitize_span_name = false\n enabled")),
    "/users/42",
  );
});

test("values in queries, by the database that the span names", async () => {
  const block = (name: string) => `${name} {\n enabled = true\n attributes = ["q"]\n}`;
  const names = ["sql", "redis", "valkey", "memcached", "mongo", "opensearch", "es"];
  const config = `allow_all_keys = true\n db_sanitizer {\n ${names.map(block).join("\n")}\n}`;
  const cases: readonly (readonly [system: string, query: string, clean: string])[] = [
    [
      "postgresql",
      "SELECT * FROM t12 WHERE a='x''y' AND b = -1.5e3 OR c IS NULL AND $1 = md5(d) -- 5",
      "SELECT * FROM t? WHERE a=?? AND b = ? OR c IS ? AND ? = md5(d) -- 5",
    ],
    [
      "sqlite",
      'select "name1", true, extract(epoch from x), $$body$$, 0x1F',
      'select "name?", ?, extract(? from x), ?, ?',
    ],
    ["mysql", 'SELECT `col1` FROM a WHERE b = "text" # 7', "SELECT `col?` FROM a WHERE b = ? # 7"],
    ["sqlite", "SELECT /* 5 ' */ 1 -- it's 6", "SELECT /* 5 ' */ ? -- it's 6"],
    ["redis", 'SET k "a b"\nMSET a 1 b 2\nAUTH user pass', "SET k ?\nMSET a ? b ?\nAUTH ?"],
    [
      "redis",
      "BITFIELD k GET u8 0 SET u8 0 255\nCONFIG SET pass x",
      "BITFIELD k GET u8 0 SET u8 0 ?\nCONFIG SET pass ?",
    ],
    [
      "redis",
      "LINSERT l BEFORE p v\nGEOADD k 1 2 m\nHSET k f v g w",
      "LINSERT l BEFORE p ?\nGEOADD k 1 2 ?\nHSET k f ? g ?",
    ],
    ["valkey", "ZADD z NX 1 a 2 b", "ZADD z NX 1 ? 2 ?"],
    ["memcached", "set k 0 900 5\r\nvalue", "set k 0 900 5"],
    ["mongodb", '{"find": "users", "filter": {"a": [1, null]}}', '{"find":"?","filter":{"a":["?","?"]}}'],
    ["opensearch", '{"q": "x"} ', '{"q":"?"} '],
    ["elasticsearch", "no json", "no json"],
    ["other", "SELECT 1", "SELECT 1"],
  ];
  for (const [system, query, clean] of cases) {
    const { q, plain } = await attributesAfter(config, { "db.system.name": system, q: query, plain: query });
    assert.deepEqual([q, plain], [clean, query], system);
    const span = { name: query, kind: 3, attributes: attributesOf({ "db.system": system.toUpperCase() }) };
    assert.equal((await spanAfter(config, span)).name, clean);
  }
  assert.equal((await attributesAfter(config, { q: "SELECT 1" })).q, "SELECT 1");

  await using logs = await startProcessor(definition, `allow_all_keys = true\n db_sanitizer {\n ${block("sql")}\n}`);
  const record = { body: { stringValue: "ran SELECT 1" }, attributes: attributesOf({ q: "SELECT 2" }) };
  const [out] = itemsIn(await logs.run("logs", logsOf([record])));
  assert.deepEqual(out, { body: { stringValue: "ran SELECT ?" }, attributes: attributesOf({ q: "SELECT ?" }) });
});

test("texts of any length and content are cleaned in one go", async () => {
  const databases = ["sql", "redis", "mongo"].map((name) => `${name} {\n enabled = true\n attributes = ["q"]\n}`);
  const config = `allow_all_keys = true
    url_sanitizer {
      enabled = true
      attributes = ["url"]
    }
    db_sanitizer {
      ${databases.join("\n")}
    }`;
  for (const piece of ["a".repeat(15), "a ", "/", "'", "\\", "$a", "/*", '"a".', "1e", "{", "*/"]) {
    const long = piece.repeat(10_000);
    for (const system of ["postgresql", "mysql", "redis", "mongodb"]) {
      const attributes = attributesOf({ "db.system": system, url: long, q: `${long}x` });
      assert.ok(await spanAfter(config, { name: `*${long}x`, kind: 3, attributes }));
    }
  }
});

test("what has nothing to redact passes as it is", async () => {
  await using processor = await startProcessor(definition, 'allow_all_keys = true\n blocked_values = ["secret"]');
  await processor.run("logs", logsOf([{ body: { stringValue: "fine" }, attributes: attributesOf({ a: "b" }) }]));
  assert.ok(processor.isSame);
});

test("refuses settings that cannot be, and never shows the key", () => {
  const refused = (config: string, message: RegExp) =>
    assert.throws(
      () => decodeArguments(definition, `${config}\noutput {}`),
      (error: Error) => message.test(error.message) && !error.message.includes("short-key"),
    );
  refused('blocked_values = ["("]', /`blocked_values\[0\]` is an invalid regular expression: .*missing closing/);
  refused('hash_function = "crc"', /cannot be "crc"/);
  refused('hash_function = "hmac-sha256"', /at least 32 bytes/);
  refused('hash_function = "hmac-sha512"\n hmac_key = "short-key"', /at least 64 bytes/);
  refused('summary = "all"', /cannot be "all"/);
});
