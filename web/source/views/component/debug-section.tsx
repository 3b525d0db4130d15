import type { ComponentChildren } from "preact";
import type { AlloyJsonStatement, AlloyJsonValue } from "../../agent.ts";
import { Age } from "../../parts/age.tsx";
import { type Column, DataTable } from "../../parts/data-table.tsx";
import { bytesText, durationText } from "../../text.ts";
import { Pairs } from "./exports-section.tsx";
import { LongText } from "./long-text.tsx";
import { Section } from "./section.tsx";
import { configurationText, countText, ISO_TIME, isNever } from "./values.ts";

type Block = Extract<AlloyJsonStatement, { type: "block" }>;
type Attribute = Extract<AlloyJsonStatement, { type: "attr" }>;

interface DebugProps {
  readonly statements: readonly AlloyJsonStatement[];
  /** Epoch milliseconds of the agent's clock. */
  readonly now: number;
}

/** What the component tells of itself: its targets, files, endpoints. */
export function DebugSection(props: DebugProps) {
  return (
    <Section name="debug" title="Debug info">
      <Statements {...props} path="debug" />
    </Section>
  );
}

function Statements({ statements, now, path }: DebugProps & { readonly path: string }) {
  const attributes = statements.filter((each): each is Attribute => each.type === "attr");
  const blocks = new Map<string, Block[]>();
  for (const each of statements) {
    if (each.type !== "block") continue;
    const list = blocks.get(each.name);
    if (list === undefined) blocks.set(each.name, [each]);
    else list.push(each);
  }
  return (
    <>
      {attributes.length > 0 && (
        <dl class="values">
          {attributes.map(({ name, value }) => (
            <div key={name}>
              <dt>{wordsOf(name)}</dt>
              <dd>
                <Value name={name} value={value} now={now} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {[...blocks].map(([name, list]) => (
        <Blocks key={name} name={name} list={list} now={now} path={`${path}.${name}`} />
      ))}
    </>
  );
}

interface BlocksProps {
  readonly name: string;
  readonly list: readonly Block[];
  readonly now: number;
  readonly path: string;
}

/** Blocks of one name: a table of their attributes, or a list for one that has blocks of its own. */
function Blocks({ name, list, now, path }: BlocksProps) {
  const single = list.length === 1 ? list[0] : undefined;
  const heading = (
    <h3>
      {wordsOf(name)} {single === undefined && <span class="quiet">{list.length}</span>}
    </h3>
  );
  if (single !== undefined && !isRecord(single)) {
    return (
      <div class="debug-block">
        {heading}
        <Statements statements={single.body} now={now} path={path} />
      </div>
    );
  }
  // What is wrong is of interest first.
  const rows = [...list].sort((a, b) => Number(isBad(b)) - Number(isBad(a)));
  return (
    <div class="debug-block">
      {heading}
      <DataTable
        name={path}
        label={wordsOf(name)}
        noun={`rows of ${wordsOf(name)}`}
        columns={columnsOf(list, now)}
        rows={rows}
        keyOf={(_block, place) => place}
        rowClass={(block) => (isBad(block) ? "bad-row" : "")}
      />
    </div>
  );
}

/** Whether a block fits into a row: what it holds is attributes, and labels at most. */
function isRecord({ body }: Block): boolean {
  return body.some(({ type }) => type === "attr") && body.every((each) => each.type === "attr" || isFlat(each));
}

function isFlat({ body }: Block): boolean {
  return body.every(({ type }) => type === "attr");
}

function columnsOf(list: readonly Block[], now: number): readonly Column<Block>[] {
  const names = [...new Set(list.flatMap(({ body }) => body.map(({ name }) => name)))];
  const field = (block: Block, name: string) => block.body.find((each) => each.name === name);
  return names.map((name): Column<Block> => {
    const first = list.map((block) => field(block, name)).find((each) => each !== undefined);
    return {
      name,
      title: wordsOf(name),
      isNumber: first?.type === "attr" && (first.value.type === "number" || isDuration(name, first.value)),
      value: (block) => sortValue(name, field(block, name)),
      cell: (block) => {
        const found = field(block, name);
        if (found === undefined) return null;
        if (found.type === "block") return <Pairs pairs={pairsOf(found)} />;
        return <Value name={name} value={found.value} now={now} />;
      },
    };
  });
}

function pairsOf({ body }: Block): readonly string[] {
  return body.map((each) =>
    each.type === "attr"
      ? `${each.name}=${configurationText(each.value)}`
      : `${each.name} {${pairsOf(each).join(" ")}}`,
  );
}

function sortValue(name: string, statement: AlloyJsonStatement | undefined): string | number {
  if (statement === undefined) return "";
  if (statement.type === "block") return pairsOf(statement).join(" ");
  const { value } = statement;
  if (value.type === "number") return value.value;
  if (isDuration(name, value)) return milliseconds(String(value.value));
  return value.type === "string" ? value.value : configurationText(value);
}

/** One value of debug info; its name says what it is. */
function Value({ name, value, now }: { readonly name: string; readonly value: AlloyJsonValue; readonly now: number }) {
  if (value.type === "number") return <>{numberOf(name, value.value)}</>;
  if (value.type === "bool") return <>{value.value ? "yes" : "no"}</>;
  if (value.type === "null") return <span class="quiet">–</span>;
  if (value.type !== "string") return <LongText text={configurationText(value)} />;
  const text = value.value;
  if (text === "") return <span class="quiet">–</span>;
  if (ISO_TIME.test(text)) return isNever(text) ? <span class="quiet">never</span> : <Age time={text} now={now} />;
  if (HEALTH.has(text)) return <span class={`state ${HEALTH.get(text)}`}>{text}</span>;
  if (isDuration(name, value)) return <span title={text}>{durationText(milliseconds(text))}</span>;
  if (ERROR.test(name)) return <span class="bad">{text}</span>;
  return <span class="mono">{text}</span>;
}

const HEALTH: ReadonlyMap<string, string> = new Map([
  ["up", "ok"],
  ["healthy", "ok"],
  ["down", "failing"],
  ["unhealthy", "failing"],
  ["unknown", "idle"],
]);
const ERROR = /(^|_)(error|err|problem)$/;

/** Whether a block says that something is wrong. */
function isBad({ body }: Block): boolean {
  return body.some((each) => {
    if (each.type !== "attr" || each.value.type !== "string") return false;
    const text = each.value.value;
    return HEALTH.get(text) === "failing" || (ERROR.test(each.name) && text !== "");
  });
}

function numberOf(name: string, value: number): ComponentChildren {
  if (name.endsWith("_bytes")) return <span title={`${countText(value)} bytes`}>{bytesText(value)}</span>;
  if (name.endsWith("_seconds")) return <span title={`${value} s`}>{durationText(value * 1000)}</span>;
  return countText(value);
}

const DURATION = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+$/;

function isDuration(name: string, value: AlloyJsonValue): boolean {
  return value.type === "string" && name.endsWith("duration") && DURATION.test(value.value);
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a duration such as `1m2.5s`. */
function milliseconds(text: string): number {
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)([a-zµμ]+)/g)) sum += Number(number) * UNITS[unit!]!;
  return sum;
}

function wordsOf(name: string): string {
  return name.replaceAll("_", " ");
}
