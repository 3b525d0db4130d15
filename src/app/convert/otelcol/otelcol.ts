import type { AnyBody } from "#lang/schema";
import { COMPONENTS } from "../../registry.gen.ts";
import { Environment } from "../environment.ts";
import { type Conversion, NOTHING, type SourceFormat } from "../format.ts";
import { labelFor, Names } from "../names.ts";
import { Body, listOf } from "../output.ts";
import type { Report } from "../report.ts";
import { Section } from "../settings.ts";
import { readRoot } from "../source.ts";
import type { YamlMap } from "../yaml-tree.ts";
import { type BodyContext, BodyConverter } from "./body.ts";
import { advice, ENTRIES, type Entry, OWN_SERVICES, SIGNALS, type Signal } from "./catalogue.ts";
import { unfoldKeys } from "./nested-keys.ts";
import { Definitions, labelOf, namesOf, readPipelines, splitName } from "./pipelines.ts";
import { References } from "./references.ts";
import { SettingsTree } from "./settings-tree.ts";
import { SHARED_BLOCKS } from "./shared-blocks.ts";
import { convertTelemetry } from "./telemetry.ts";
import { type Node, Wiring } from "./wiring.ts";

/**
 * The OpenTelemetry Collector, core and contrib. Names, defaults and the shape of the output are those of Alloy's
 * converter (internal/converter/internal/otelcolconvert); docs/migrate-from-otelcol.md lists where this one does more.
 * The components' own schemas say which settings there are, and of what type.
 */
export async function otelcol(): Promise<SourceFormat> {
  const schemas = await loadSchemas();
  return {
    convert(text, extraArguments, report) {
      if (extraArguments.length > 0) {
        report.add("Critical", "--extra-args", "flags of the Collector are not converted; leave them out");
        return NOTHING;
      }
      const names = new Names();
      const references = new References(report, names);
      const environment = new Environment(text, references.expand);
      const program = { name: "OpenTelemetry Collector", settings: "receivers, exporters and service" };
      const root = readRoot(environment, report, program);
      if (root === undefined) return NOTHING;
      const { variables } = environment;
      if (variables.length > 0) {
        report.add(
          "Info",
          "",
          `the output reads these variables from the agent's environment: ${variables.join(", ")}`,
        );
      }
      const section = new Section(unfoldKeys(root) as YamlMap, "", report);
      return new CollectorConverter(new SettingsTree(section), { schemas, names, references, report }).convert();
    },
  };
}

async function loadSchemas(): Promise<ReadonlyMap<string, AnyBody>> {
  const components = new Set(
    Object.values(ENTRIES).flatMap((table) => [...table.values()].map((each) => each.component)),
  );
  const loaded = [...components].map(async (name) => {
    const definition = (await COMPONENTS.get(name)!()).default as { readonly args: AnyBody };
    return [name, definition.args] as const;
  });
  return new Map(await Promise.all(loaded));
}

interface Means {
  readonly schemas: ReadonlyMap<string, AnyBody>;
  readonly names: Names;
  readonly references: References;
  readonly report: Report;
}

class CollectorConverter {
  readonly #root: SettingsTree;
  readonly #means: Means;
  readonly #definitions: Definitions;
  readonly #out = new Body();
  /** The extensions of the output, by name in the source: `otelcol.auth.basic.default`. */
  readonly #extensions = new Map<string, string>();
  readonly #labels = new Map<Node, string>();

  constructor(root: SettingsTree, means: Means) {
    this.#root = root;
    this.#means = means;
    this.#definitions = new Definitions(root, means.report);
  }

  convert(): Conversion {
    const { report, references, names } = this.#means;
    const service = this.#root.child("service");
    if (service === undefined) {
      report.add("Critical", "", "this configuration has no service, so that the Collector would run nothing of it");
      return NOTHING;
    }
    const telemetry = service.child("telemetry");
    if (telemetry !== undefined) convertTelemetry(telemetry, this.#out);
    this.#convertExtensions(namesOf(service.section, "extensions"), service.section.at("extensions"));
    const pipelines = readPipelines(service, report);
    if (pipelines.length === 0)
      report.add("Warning", "service.pipelines", "there are none, so that nothing goes anywhere");
    const nodes = new Wiring(pipelines, this.#definitions, report).nodes();
    for (const node of nodes) {
      const label = labelOf(node.group, node.id) + (node.only === undefined ? "" : `_${node.only}`);
      this.#labels.set(node, names.take(node.entry.component, labelFor(label)));
    }
    for (const node of nodes) this.#convertNode(node);
    this.#definitions.tellOfUnused();
    this.#root.rest();
    references.attachFiles(this.#out);
    return { text: this.#out.print(), readers: [] };
  }

  #convertExtensions(ids: readonly string[], place: string): void {
    for (const id of ids) {
      const type = splitName(id)[0];
      const own = OWN_SERVICES.get(type);
      const entry = ENTRIES.extension.get(type);
      const tree = this.#definitions.find("extension", id, place);
      if (tree === undefined) continue;
      if (own !== undefined) this.#definitions.leaveOut("extension", id, own, "Info");
      else if (entry === undefined) this.#definitions.leaveOut("extension", id, advice("extension", type));
      else {
        const label = this.#means.names.take(entry.component, labelFor(labelOf("", id)));
        this.#extensions.set(id, `${entry.component}.${label}`);
        this.#convertBody(tree, entry, label, []);
      }
    }
  }

  #convertNode(node: Node): void {
    const tree = this.#definitions.find(node.kind, node.id, "");
    const label = this.#labels.get(node);
    if (tree === undefined || label === undefined) return;
    const body = this.#convertBody(
      tree,
      node.entry,
      label,
      SIGNALS.filter((each) => node.outputs.has(each)),
    );
    if (node.kind === "exporter") return;
    const output = body.block("output");
    for (const signal of SIGNALS) {
      const targets = [...(node.outputs.get(signal) ?? [])];
      const inputs = targets.map((each) => `${each.entry.component}.${this.#labels.get(each)}.input`);
      if (inputs.length > 0) output.attribute(signal, listOf(inputs));
    }
  }

  #convertBody(tree: SettingsTree, entry: Entry, label: string, signals: readonly Signal[]): Body {
    const body = new Body();
    const converter = new BodyConverter(this.#contextOf(entry.component, label, signals), SHARED_BLOCKS);
    converter.convert(tree, this.#means.schemas.get(entry.component)!, entry.rules, body);
    this.#out.attach(entry.component, body, label);
    return body;
  }

  #contextOf(component: string, label: string, signals: readonly Signal[]): BodyContext {
    return {
      component,
      signals,
      contentOf: (path) => this.#means.references.contentOf(path, label),
      handlerOf: (section, name) => {
        if (!section.has(name)) return undefined;
        const id = section.text(name)?.fixed;
        const found = id === undefined ? undefined : this.#extensions.get(id);
        if (found !== undefined) return { expression: `${found}.handler`, fixed: undefined };
        section.add(
          "Error",
          name,
          "no extension of this name is in service.extensions and can be converted; without it nothing is set here",
        );
        return undefined;
      },
    };
  }
}
