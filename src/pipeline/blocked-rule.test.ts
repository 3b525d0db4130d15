import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeBlocked } from "./blocked-rule.ts";
import { Flow } from "./flow.ts";

test("names the consumer that has taken nothing for longest, and those that stand still with it", () => {
  const flow = new Flow(() => 0);
  for (const id of ["loki.write.prod", "loki.write.stage", "loki.echo.a"]) flow.connect(id, "logs");
  assert.equal(judgeBlocked(flow, 60_000), undefined);
  flow.edge("loki.write.stage").wait(70, 10_000);
  flow.edge("loki.echo.a").wait(5, 40_000);
  assert.equal(judgeBlocked(flow, 24_000), undefined, "that is nothing yet");
  assert.deepEqual(judgeBlocked(flow, 50_000), {
    state: "degraded",
    cause:
      "loki.write.stage has taken nothing for 40 s: 70 items wait for it and hold back what comes before, and " +
      "loki.write.prod, loki.echo.a will get nothing more until it takes them. Its own status says why",
  });
  flow.edge("loki.write.stage").accepted(30, 50_000);
  assert.equal(judgeBlocked(flow, 52_000), undefined, "it takes something");
  flow.edge("loki.write.stage").accepted(40, 53_000);
  assert.match(judgeBlocked(flow, 70_000)!.cause, /^loki\.echo\.a has taken nothing for 30 s/);
});
