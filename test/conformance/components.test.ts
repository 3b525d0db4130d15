import { strict as assert } from "node:assert";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type BlockStatement, blockName } from "#lang/ast";
import { decodeBody, defaultsOf, sameArguments } from "#lang/decode";
import { type CatalogueBody, schemaToCatalogue } from "#lang/schema-catalogue";
import { startComponent } from "#pipeline/testing";
import { type CatalogueEntry, compareWithCatalogue } from "./compare.ts";
import { DIFFERENCES } from "./differences.ts";
import { type AnyDefinition, exportsFromCatalogue, parseExample, placeholderScope } from "./placeholders.ts";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "src/components");
const names = readdirSync(folder).filter((name) => existsSync(join(folder, name, `${name}.ts`)));

async function load(name: string): Promise<AnyDefinition | undefined> {
  if (!names.includes(name)) return undefined;
  return ((await import(join(folder, name, `${name}.ts`))) as { default: AnyDefinition }).default;
}

function catalogueEntry(name: string): CatalogueEntry | undefined {
  const file = join(root, "test/catalog/components", `${name}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as CatalogueEntry) : undefined;
}

async function exportsOf(name: string) {
  const definition = await load(name);
  if (definition !== undefined) return definition.exports;
  const entry = catalogueEntry(name);
  return entry?.exports === undefined ? undefined : exportsFromCatalogue(entry.exports);
}

function undocumented(body: CatalogueBody, path = ""): string[] {
  const own = [...body.arguments, ...body.blocks].filter(
    (each) => each.documentation === "" && each.unsupported === undefined,
  );
  return [
    ...own.map((each) => `${path}${each.name}`),
    ...body.blocks.flatMap((block) => undocumented(block, `${path}${block.name} > `)),
  ];
}

/** The part of the example that belongs to the component, without its braces. */
function insideOf(block: BlockStatement): string {
  return block.span.source.text.slice(block.open + 1, block.close);
}

for (const name of names) {
  describe(name, async () => {
    const definition = (await load(name))!;

    test("has the name of its folder", () => {
      assert.equal(definition.name, name);
    });

    test("has the arguments, blocks and exports of Alloy's", () => {
      const entry = catalogueEntry(name);
      if (entry === undefined) {
        assert.ok(name.startsWith("invar."), `${name} is neither in the catalogue nor one of our own`);
        return;
      }
      assert.deepEqual(compareWithCatalogue(definition, entry, DIFFERENCES), []);
      if (entry.stability) assert.equal(definition.stability, entry.stability);
      assert.equal(definition.community ?? false, entry.community ?? false);
    });

    test("documents every argument and block, and its defaults are valid", () => {
      assert.notEqual(definition.summary, "");
      assert.deepEqual(undocumented(schemaToCatalogue(definition.args)), []);
      defaultsOf(definition.args);
    });

    test("has a valid example, and stops before and after it was started", async () => {
      const body = parseExample(name, definition.example);
      const scope = await placeholderScope(body, exportsOf);
      const own = body.filter((each): each is BlockStatement => each.kind === "block" && blockName(each) === name);
      assert.notEqual(own.length, 0, "the example does not use the component");
      const dataPath = await mkdtemp(join(tmpdir(), "invar-conformance-"));
      for (const block of own) {
        const decoded = decodeBody(definition.args, block.body, scope, {
          name,
          block,
          minimumStability: "experimental",
        });
        assert.deepEqual(
          decoded.diagnostics.map((each) => `${each.severity}: ${each.message}`),
          [],
        );
        const again = decodeBody(definition.args, block.body, scope, { name, minimumStability: "experimental" });
        assert.ok(sameArguments(definition.args, decoded.value, again.value), "the same text gives the same arguments");
        const variables = new Map(
          [...new Set(body.flatMap((each) => (each.kind === "block" ? [each.name[0]!.name] : [])))].flatMap((first) => {
            const value = scope.lookup(first);
            return value === undefined ? [] : [[first, value] as const];
          }),
        );
        const before = process.getActiveResourcesInfo().length;
        for (let i = 0; i < 2; i++) {
          const component = await startComponent(definition, insideOf(block), {
            label: block.label?.text ?? "test",
            scope: variables,
            dataPath,
            inactive: true,
          });
          const exported = component.exported.length;
          await component.instance.update?.(decoded.value);
          assert.equal(component.failures.length, 0);
          assert.ok(component.exported.length - exported <= 1, "an update that changes nothing exports at most once");
          await component.stop();
          await component.stop();
        }
        assert.ok(
          process.getActiveResourcesInfo().length <= before,
          `open: ${process.getActiveResourcesInfo().join(", ")}`,
        );
      }
      await rm(dataPath, { recursive: true, force: true });
    });
  });
}
