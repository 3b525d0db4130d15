import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { s } from "#lang/schema";
import { type ComponentDefinition, defineComponent } from "#pipeline/component";
import { testController } from "./controller.testing.ts";

for (const updatable of [false, true]) {
  test(`a reload starts a failed component at once, with${updatable ? "" : "out"} updates`, async () => {
    let mended = false;
    let runs = 0;
    const failing = defineComponent({
      name: "test.failing",
      stability: "generally-available",
      summary: "Fails until somebody mends what it needs.",
      example: 'test.failing "a" { }\n',
      args: s.object({ port: s.int().default(1) }),
      start(ctx) {
        ctx.run(async (signal) => {
          runs += 1;
          if (!mended) throw new Error("no luck");
          await systemClock.sleep(60_000, signal).catch(() => {});
        });
        return updatable ? { update: () => {} } : {};
      },
    });
    const controller = testController([failing] as unknown as ComponentDefinition[]);
    const load = (text: string) => controller.load([{ name: "a", text }], "/");
    await load('test.failing "a" { }\n');
    // The second pause takes two seconds: more than the reload and the start after it may need.
    while (runs < 2) await systemClock.sleep(10);
    while (controller.component("test.failing.a")?.failure === undefined) await systemClock.sleep(10);
    mended = true;
    const began = performance.now();
    await load(updatable ? 'test.failing "a" {\n  port = 2\n}\n' : 'test.failing "a" { }\n');
    while (runs < 3) await systemClock.sleep(10);
    const took = performance.now() - began;
    while (controller.component("test.failing.a")?.health.state !== "healthy") await systemClock.sleep(10);
    await controller.stop(1_000);
    assert.ok(took < 1_500, `${took} ms`);
    assert.equal(runs, 3);
  });
}

test("a changed component that failed before is no longer failed", async () => {
  const failing = defineComponent({
    name: "test.failing",
    stability: "generally-available",
    summary: "Fails with the port 1.",
    example: 'test.failing "a" { }\n',
    args: s.object({ port: s.int().default(1) }),
    start(ctx, { port }) {
      ctx.run(async (signal) => {
        if (port === 1) throw new Error("no luck");
        await systemClock.sleep(60_000, signal).catch(() => {});
      });
    },
  });
  const controller = testController([failing] as unknown as ComponentDefinition[]);
  const load = (text: string) => controller.load([{ name: "a", text }], "/");
  await load('test.failing "a" { }\n');
  while (controller.component("test.failing.a")?.failure === undefined) await systemClock.sleep(10);
  await load('test.failing "a" {\n  port = 2\n}\n');
  assert.equal(controller.component("test.failing.a")?.failure, undefined);
  assert.equal(controller.component("test.failing.a")?.health.state, "healthy");
  await controller.stop(1_000);
});

test("nothing starts before what has to come first, and not at all if that fails", async () => {
  const order: string[] = [];
  const component = defineComponent({
    name: "test.one",
    stability: "generally-available",
    summary: "Says when it runs.",
    example: 'test.one "a" { }\n',
    args: s.object({}),
    start(ctx) {
      ctx.run(async () => {
        order.push("component");
      });
    },
  });
  const controller = testController([component] as unknown as ComponentDefinition[]);
  const load = (first: () => Promise<void>) => controller.load([{ name: "a", text: 'test.one "a" { }\n' }], "/", first);
  await assert.rejects(
    load(() => Promise.reject(new Error("the port is taken"))),
    /the port is taken/,
  );
  assert.equal(controller.loaded, false);
  await load(async () => {
    order.push("first");
  });
  await systemClock.sleep(10);
  assert.deepEqual(order, ["first", "component"]);
  await controller.stop(1_000);
});
