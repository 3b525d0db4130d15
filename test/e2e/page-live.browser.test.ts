import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { openBrowserPage, useBrowser } from "../kit/browser.ts";

/** The live view of the page, on a real agent that follows a file. */

useBrowser();

interface Scene {
  readonly agent: TestAgent;
  write(...lines: string[]): void;
}

async function scene(t: TestContext, block = "livedebugging {\n  enabled = true\n}"): Promise<Scene> {
  const path = join(temporaryFolder(t), "app.log");
  const agent = await startAgent(
    t,
    `${block}
loki.source.file "app" {
  targets    = [{ __path__ = "${path}", job = "app" }]
  forward_to = [loki.process.app.receiver]
}
loki.process "app" {
  forward_to = [loki.echo.all.receiver]
  stage.json {
    expressions = { level = "", took = "" }
  }
  stage.labels {
    values = { level = "" }
  }
  stage.match {
    selector            = "{level=\\"debug\\"}"
    action              = "drop"
    drop_counter_reason = "noise"
  }
}
loki.echo "all" { }
`,
  );
  return { agent, write: (...lines) => appendFileSync(path, `${lines.join("\n")}\n`) };
}

const watching = (page: Page) => page.getByText(/^Watching\./).waitFor();

const line = (level: string, took: number) => JSON.stringify({ level, took, msg: `request ${took}` });

test("what flows is shown, searched, stopped and cleared; the address has the search", async (t) => {
  const { agent, write } = await scene(t);
  await using opened = await openBrowserPage(`${agent.url}/live`);
  const { page } = opened;
  await page.getByRole("link", { name: "loki.process.app" }).click();
  await page.getByRole("heading", { name: "Live: loki.process.app" }).waitFor();
  await watching(page);
  write(line("info", 1), line("error", 2), line("debug", 3));
  await page.getByText("request 2").first().waitFor();
  assert.equal(await page.locator(".live-item").count(), 2, "the dropped one did not go out");
  await page.locator(".live-item summary", { hasText: "request 2" }).click();
  await page.getByRole("button", { name: "level=error" }).click();
  assert.equal(await page.getByRole("searchbox").inputValue(), "level=error");
  assert.match(page.url(), /where=level%3Derror/);
  await page.getByRole("heading", { name: "Waiting for something to flow" }).waitFor();
  await watching(page);
  write(line("info", 4), line("error", 5));
  await page.getByText("request 5").first().waitFor();
  assert.equal(await page.locator(".live-item").count(), 1);
  await opened.picture("live");
  await opened.assertAccessible();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Not watching.").waitFor();
  const { items } = (await agent.component("loki.process.app")).flow.received;
  write(line("error", 6));
  await agent.until(
    async () => (await agent.component("loki.process.app")).flow.received.items > items,
    "it passes unseen",
  );
  await page.getByRole("button", { name: "Go on" }).click();
  await watching(page);
  write(line("error", 7));
  await page.getByText("request 7").first().waitFor();
  assert.equal(await page.getByText("request 6").count(), 0, "nothing was watched while it was stopped");
  await page.getByRole("button", { name: "Clear" }).click();
  assert.equal(await page.locator(".live-item").count(), 0);
  assert.deepEqual(opened.faults, []);
});

test("stage by stage: what each stage did, and why an entry was dropped, in the dark", async (t) => {
  const { agent, write } = await scene(t);
  await using opened = await openBrowserPage(`${agent.url}/live/loki.process.app?trace=true`, { colorScheme: "dark" });
  const { page } = opened;
  await watching(page);
  write(line("debug", 8));
  await page.getByText("dropped by").waitFor();
  const steps = await page.locator(".steps tbody tr").allInnerTexts();
  assert.match(steps[0]!, /0\.json\s+extracted level debug\s+extracted took 8/);
  assert.match(steps[1]!, /1\.labels\s+label level debug/);
  assert.match(steps[2]!, /2\.match\s+dropped .*noise/);
  await opened.picture("live-stages-dark");
  await opened.assertAccessible();
  assert.deepEqual(opened.faults, []);
});

test("watching is off unless the configuration allows it, and the page says what to write", async (t) => {
  const { agent } = await scene(t, "");
  await using opened = await openBrowserPage(`${agent.url}/live/loki.process.app`, { expected: /403/ });
  await opened.page.getByRole("heading", { name: "Watching data is off" }).waitFor();
  assert.match((await opened.page.locator("pre").textContent()) ?? "", /livedebugging \{\s+enabled = true/);
  await opened.assertAccessible();
  assert.deepEqual(opened.faults, []);
});

test("a component that does not exist is named, also under Alloy's own address", async (t) => {
  const { agent } = await scene(t);
  await using opened = await openBrowserPage(`${agent.url}/debug/loki.process.apq`, { expected: /404/ });
  await opened.page.getByRole("alert").getByText("loki.process.app").waitFor();
  assert.deepEqual(opened.faults, []);
});
