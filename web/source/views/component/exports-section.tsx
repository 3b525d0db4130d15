import type { ExplainJson } from "../../agent.ts";
import { DataTable } from "../../parts/data-table.tsx";
import { LongText } from "./long-text.tsx";
import { Neighbours } from "./neighbours.tsx";
import { Section } from "./section.tsx";
import { configurationText, targetsOf } from "./values.ts";

/** What the block gives to others, as it is now. */
export function ExportsSection({ explained }: { readonly explained: ExplainJson }) {
  const { exports, id, referencedBy } = explained;
  if (exports.length + referencedBy.length === 0) return null;
  const attributes = exports.flatMap((each) => (each.type === "attr" ? [each] : []));
  const plain = attributes.filter(({ value }) => targetsOf(value) === undefined);
  const lists = attributes.filter(({ value }) => targetsOf(value) !== undefined);
  return (
    <Section name="exports" title="Exports">
      {plain.length > 0 && (
        <dl class="values">
          {plain.map(({ name, value }) => (
            <div key={name}>
              <dt class="mono">{name}</dt>
              <dd>
                <LongText text={configurationText(value)} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {lists.map((each) => (
        <TargetTable key={`${id} ${each.name}`} name={each.name} targets={targetsOf(each.value) ?? []} />
      ))}
      <Neighbours title="Used by" ids={referencedBy} />
    </Section>
  );
}

type Target = ReadonlyMap<string, string>;

/** More labels than this go into one cell. */
const MAX_COLUMNS = 6;

function TargetTable({ name, targets }: { readonly name: string; readonly targets: readonly Target[] }) {
  const names = [...new Set(targets.flatMap((each) => [...each.keys()]))];
  const columns =
    names.length <= MAX_COLUMNS
      ? names.map((label) => ({
          name: label,
          title: <span class="mono">{label}</span>,
          value: (target: Target) => target.get(label) ?? "",
          cell: (target: Target) => <span class="mono">{target.get(label) ?? ""}</span>,
        }))
      : [
          {
            name: "labels",
            title: "Labels",
            value: (target: Target) => pairsText(target).join(" "),
            cell: (target: Target) => <Pairs pairs={pairsText(target)} />,
          },
        ];
  return (
    <>
      <h3>
        <span class="mono">{name}</span>{" "}
        <span class="quiet">
          {targets.length} {targets.length === 1 ? "target" : "targets"}
        </span>
      </h3>
      <DataTable
        name={name}
        label={`Targets in ${name}`}
        noun="targets"
        columns={columns}
        rows={targets}
        keyOf={(_target, place) => place}
      />
    </>
  );
}

function pairsText(target: Target): readonly string[] {
  return [...target].map(([label, value]) => `${label}=${JSON.stringify(value)}`);
}

export function Pairs({ pairs }: { readonly pairs: readonly string[] }) {
  return (
    <ul class="label-pairs mono">
      {pairs.map((pair) => (
        <li key={pair}>{pair}</li>
      ))}
    </ul>
  );
}
