import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { checkBcrypt } from "./bcrypt.ts";
import { Htpasswd } from "./htpasswd.ts";

test("bcrypt agrees with the published vectors", () => {
  const vectors: [string, string][] = [
    ["U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"],
    ["U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"],
    ["U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"],
    ["", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"],
  ];
  for (const [password, hash] of vectors) {
    assert.equal(checkBcrypt(password, hash), true, password);
    assert.equal(checkBcrypt(password, hash.replace("$2a$", "$2y$")), true);
    assert.equal(checkBcrypt(`${password}x`, hash), false);
  }
  assert.equal(checkBcrypt("x", "$2a$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), false);
  assert.equal(checkBcrypt("x", "$2a$05$short"), false);
});

test("apr1 and MD5 crypt agree with OpenSSL", () => {
  const password = fc.string({ unit: fc.constantFrom(..."abcXYZ019 ._-!"), minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(password, fc.constantFrom("-apr1", "-1"), (secret, kind) => {
      const made = spawnSync("openssl", ["passwd", kind, "-salt", "saltsalt", "-stdin"], {
        input: secret,
        encoding: "utf8",
      });
      const table = new Htpasswd(`user:${made.stdout.trim()}`);
      assert.equal(table.matches("user", secret), true, made.stdout);
      assert.equal(table.matches("user", `${secret}x`), false);
    }),
    { numRuns: 15 },
  );
});

test("SHA-1, salted SHA-1 and plain entries; comments, blanks and unknown users", () => {
  const table = new Htpasswd(
    "# users\n\nsha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nssha:{SSHA}zCLKmGQKBhFU6D9NN4Co84BDYZhzYWx0\nplain:p:w\r\nbroken\n",
  );
  assert.equal(table.matches("sha", "password"), true);
  assert.equal(table.matches("sha", "Password"), false);
  assert.equal(table.matches("plain", "p:w"), true);
  assert.equal(table.matches("plain", "p"), false);
  assert.equal(table.matches("nobody", ""), false);
  assert.equal(table.matches("broken", ""), false);
});

test("a right password is remembered, a wrong one is not", () => {
  const table = new Htpasswd("u:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
  for (let i = 0; i < 3; i++) {
    assert.equal(table.matches("u", "U*U"), true);
    assert.equal(table.matches("u", "U*"), false);
  }
});
