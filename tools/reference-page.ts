import type { AnyBody } from "#lang/schema";
import {
  type CatalogueArgument,
  type CatalogueBlock,
  type CatalogueBody,
  schemaToCatalogue,
} from "#lang/schema-catalogue";
import type { ComponentDefinition } from "#pipeline/component";

// biome-ignore lint/suspicious/noExplicitAny: definitions of all types
export type AnyDefinition = ComponentDefinition<any, any, any>;

const NOTE = "<!-- Written by tools/generate-docs.ts from the schema. -->";

/** The reference page of a component. */
export function componentPage(definition: AnyDefinition): string {
  const body = schemaToCatalogue(definition.args);
  const lines = [NOTE, "", `# ${definition.name}`, "", definition.summary, ""];
  lines.push(`Stability: ${definition.stability}${definition.community ? ", community" : ""}.`, "");
  lines.push("```alloy", definition.example.trim(), "```", "");
  lines.push(...bodySections(body));
  if (definition.exports !== undefined) lines.push(...exportSection(definition.exports));
  lines.push(...metricSection(definition));
  return finish(lines);
}

/** The page of all configuration blocks. */
export function configBlocksPage(
  blocks: ReadonlyMap<string, AnyBody>,
  unsupported: ReadonlyMap<string, string>,
): string {
  const lines = [NOTE, "", "# Configuration blocks", ""];
  for (const [name, schema] of [...blocks].sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push(`## ${name}`, "", ...bodySections(schemaToCatalogue(schema), `${name} > `, "###"));
  }
  lines.push("## Not supported", "");
  for (const [name, reason] of unsupported) lines.push(`- \`${name}\`: ${reason}.`);
  return finish(lines);
}

/** The list of all components. */
export function indexPage(definitions: readonly AnyDefinition[], missing: readonly string[]): string {
  const lines = [NOTE, "", "# Reference", "", "[Configuration blocks](config-blocks.md)", "", "## Components", ""];
  lines.push("| Component | Stability | What it does |", "| --- | --- | --- |");
  for (const { name, stability, summary } of definitions) {
    lines.push(`| [${name}](${name}.md) | ${stability} | ${cell(summary)} |`);
  }
  if (missing.length > 0) lines.push("", "## Not there yet", "", missing.map((name) => `\`${name}\``).join(", "));
  return finish(lines);
}

function finish(lines: readonly string[]): string {
  return `${lines
    .join("\n")
    .replace(/\n{3,}/g, "\n\n")
    .trimEnd()}\n`;
}

function bodySections(body: CatalogueBody, prefix = "", heading = "##"): string[] {
  const lines: string[] = [];
  if (body.arguments.length > 0) {
    lines.push(`${heading} Arguments`, "", ...argumentTable(body.arguments));
  }
  const blocks = flatten(body.blocks, "");
  if (blocks.length === 0) return lines;
  lines.push(`${heading} Blocks`, "", "| Block | Description | Required | Repeatable |", "| --- | --- | --- | --- |");
  for (const { path, block } of blocks) {
    const written = `\`${path}${block.label ? ' "label"' : ""}\``;
    lines.push(`| ${written} | ${description(block)} | ${yes(block.required)} | ${yes(block.repeatable)} |`);
  }
  lines.push("");
  for (const { path, block } of blocks) {
    if (block.arguments.length === 0 || block.unsupported !== undefined) continue;
    lines.push(`${heading} ${prefix}${path}`, "", ...argumentTable(block.arguments));
  }
  return lines;
}

function flatten(blocks: readonly CatalogueBlock[], prefix: string): { path: string; block: CatalogueBlock }[] {
  return blocks.flatMap((block) => {
    const path = `${prefix}${block.name}`;
    if (takesSame(block, blocks)) return [{ path, block: { ...block, recursive: true } }];
    const inner = block.unsupported === undefined ? flatten(block.blocks, `${path} > `) : [];
    return [{ path, block }, ...inner];
  });
}

/** Whether the block takes the very blocks that it stands among, as `stage.match` takes stages: they are shown once. */
function takesSame(block: CatalogueBlock, around: readonly CatalogueBlock[]): boolean {
  const inner = new Set(block.blocks.map(({ name }) => name));
  return inner.has(block.name) && around.every(({ name }) => inner.has(name));
}

function argumentTable(list: readonly CatalogueArgument[], prefix = ""): string[] {
  const rows = (each: CatalogueArgument, path: string): string[] => [
    `| \`${path}${each.name}\` | \`${each.type}\` | ${description(each)} | ${defaultText(each)} | ${yes(each.required)} |`,
    ...(each.fields ?? []).flatMap((field) => rows(field, `${path}${each.name}.`)),
  ];
  const header = ["| Name | Type | Description | Default | Required |", "| --- | --- | --- | --- | --- |"];
  return [...header, ...list.flatMap((each) => rows(each, prefix)), ""];
}

function description(field: CatalogueArgument | CatalogueBlock): string {
  const parts = [field.documentation];
  if ("values" in field && field.values !== undefined) {
    parts.push(`One of ${field.values.map((each) => `\`${JSON.stringify(each)}\``).join(", ")}.`);
  }
  if ("recursive" in field && field.recursive) parts.push("Takes the same blocks as those around it.");
  if (field.experimental) parts.push("Experimental.");
  if (field.deprecated !== undefined) parts.push(`Deprecated: ${field.deprecated}.`);
  if ("noEffect" in field && field.noEffect !== undefined) {
    parts.push(`Kept for compatibility, without effect: ${field.noEffect}.`);
  }
  if (field.unsupported !== undefined) parts.push(`**Not supported**: ${field.unsupported}.`);
  return cell(parts.filter((part) => part !== "").join(" "));
}

function defaultText(argument: CatalogueArgument): string {
  if (argument.required || argument.default === null) return "";
  return `\`${cell(JSON.stringify(argument.default))}\``;
}

function exportSection(exports: AnyBody): string[] {
  const lines = ["## Exports", "", "| Name | Type | Description |", "| --- | --- | --- |"];
  for (const { name, type, documentation } of schemaToCatalogue(exports).arguments) {
    const text = documentation === "" && type.startsWith("capsule(") ? "What others send to." : documentation;
    lines.push(`| \`${name}\` | \`${type}\` | ${cell(text)} |`);
  }
  return [...lines, ""];
}

function metricSection(definition: AnyDefinition): string[] {
  const specs = Object.values(definition.metrics ?? {}) as {
    name: string;
    type: string;
    help: string;
    labelNames: readonly string[];
  }[];
  if (specs.length === 0) return [];
  const lines = ["## Metrics", "", "| Name | Type | Labels | Description |", "| --- | --- | --- | --- |"];
  for (const { name, type, help, labelNames } of specs) {
    lines.push(`| \`${name}\` | ${type} | ${labelNames.map((each) => `\`${each}\``).join(", ")} | ${cell(help)} |`);
  }
  return [...lines, ""];
}

function yes(value: boolean): string {
  return value ? "yes" : "no";
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
