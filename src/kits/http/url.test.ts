import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { httpUrlProblem, shownUrl } from "./url.ts";

test("URLs are fine, are none, or have a password that must be escaped", () => {
  const fine = [
    "http://host/path",
    "https://user:p%40ss%2Fw%23rd@host:9090/api/v1/push?x=y",
    "http://host:9090/path@home",
    "http://user:p@ss@host/",
    "http://[::1]:80/",
  ];
  for (const each of fine) assert.equal(httpUrlProblem(each), undefined, each);
  for (const each of ["host:80", "ftp://host/", "nonsense", ""]) {
    assert.equal(httpUrlProblem(each), "is no HTTP URL: write it as http://host:port/path", each);
  }
  const bad = ["http://user:p@ss/w#rd@host/", "http://user:pa#ss@host/", "http://user:pa/ss@host", "https://u:?@h/"];
  for (const each of bad)
    assert.match(httpUrlProblem(each)!, /^has a password with a character .*encoding\.url_encode/, each);
  assert.match(httpUrlProblem("http://user:50%off@host/")!, /^has a password with a % that begins no escape/);
});

test("passwords and the values of parameters are hidden, and all else stays", () => {
  const cases = [
    ["http://user:secret@host:80/path?q=1", "http://user:xxxxx@host:80/path?q=xxxxx"],
    ["https://host/token?code=hush&x=&y#top", "https://host/token?code=xxxxx&x=&y#top"],
    [
      "http://host:9115/probe?module=http_2xx&target=a.example",
      "http://host:9115/probe?module=http_2xx&target=a.example",
    ],
    ["http://h/federate?match%5B%5D=up&apikey=s?s#t", "http://h/federate?match%5B%5D=up&apikey=xxxxx#t"],
    [
      "http://h/probe?target=http%3A%2F%2Fu%3Ap%40t%2F%3Fk%3Ds",
      "http://h/probe?target=http%3A%2F%2Fu%3Axxxxx%40t%2F%3Fxxxxx",
    ],
    ["http://h/probe?target=50%off", "http://h/probe?target=xxxxx"],
    ["host:4317/?key=s", "host:4317/?key=xxxxx"],
    ["http://user:p@ss/w#rd@host/path", "http://user:xxxxx@host/path"],
    ["user:secret@127.0.0.1:4317", "user:xxxxx@127.0.0.1:4317"],
    ["http://user:123/45@host/", "http://user:xxxxx@host/"],
    ["http://host/path@home", "http://host/path@home"],
    ["http://host:9090/path", "http://host:9090/path"],
    ["http://user@host/", "http://user@host/"],
    ["http://:secret@host/", "http://:xxxxx@host/"],
  ] as const;
  for (const [text, shown] of cases) assert.equal(shownUrl(text), shown);
});

test("whatever the password is, it is not shown, and the URL is either told to be wrong or leads to the host", () => {
  const password = fc
    .string({ unit: "grapheme-ascii", minLength: 6, maxLength: 20 })
    .filter((text) => /[a-z]{3}/.test(text) && !/^\d+[/?#\\]/.test(text));
  fc.assert(
    fc.property(password, (secret) => {
      const url = `http://user:${secret}@backend.example/api`;
      const shown = shownUrl(url);
      assert.equal(shown, "http://user:xxxxx@backend.example/api");
      const problem = httpUrlProblem(url);
      if (problem === undefined) assert.equal(new URL(url).hostname, "backend.example");
      else assert.ok(!problem.includes(secret));
    }),
  );
});
