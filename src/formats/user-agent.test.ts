import assert from "node:assert/strict";
import { test } from "node:test";
import { UserAgents } from "./user-agent.ts";

test("browsers and systems are known by their header", () => {
  const agents = new UserAgents();
  const chrome =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/51.0.2704.103 Safari/537.36";
  assert.deepEqual(agents.parse(chrome), {
    browser: { family: "Chrome", version: "51.0.2704" },
    system: { family: "Linux", version: "" },
  });
  assert.deepEqual(agents.parse("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/115.0"), {
    browser: { family: "Firefox", version: "115.0" },
    system: { family: "Windows", version: "10" },
  });
  const other = { family: "Other", version: "" };
  for (const header of ["", "nonsense", "a".repeat(1_000_000)]) {
    assert.deepEqual(agents.parse(header), { browser: other, system: other });
  }
  assert.equal(agents.parse(chrome), agents.parse(chrome));
});
