import { memo } from "preact/compat";
import type { AlloyJsonStatement, LiveItem, Pairs } from "../../agent.ts";
import { filterTerm } from "../../parts/pairs.tsx";
import { Time } from "../../parts/time.tsx";
import { Link } from "../../router.tsx";
import { bytesText, durationText } from "../../text.ts";
import type { ShownEvent } from "./stream.ts";

interface ItemProps {
  readonly event: Extract<ShownEvent, { event: "item" }>;
  /** Whether several components are watched, so that each item says where it was seen. */
  readonly named: boolean;
  pick(term: string): void;
}

/** One item that passed: a line to read, the rest of it on demand. */
export const Item = memo(({ event, named, pick }: ItemProps) => {
  const { item, component, direction, peer, time } = event;
  const where = direction === "in" ? "in" : peer === "" ? "out" : `out to ${peer}`;
  return (
    <li>
      <details class="narrow live-item">
        <summary>
          <Time ms={Date.parse("timestamp" in item ? item.timestamp : time)} />
          <span class="kind quiet" title={`${where}: ${contextOf(item)}`}>
            {named ? component : contextOf(item)}
          </span>
          {direction === "out" && peer !== "" ? (
            <span class="peer quiet" title={where}>
              → {peer}
            </span>
          ) : (
            <span class="peer quiet">{direction}</span>
          )}
          <span class="text mono">{summaryOf(item)}</span>
        </summary>
        <div class="detail">
          <p class="quiet">
            {named && <Link to={`component/${component}`}>{component}</Link>} {where}
          </p>
          <Facts item={item} pick={pick} />
        </div>
      </details>
    </li>
  );
});

/** What an item belongs to, in a few words. */
function contextOf(item: LiveItem): string {
  switch (item.type) {
    case "log":
      return Object.values(item.labels).join(" ");
    case "span":
    case "datapoint":
    case "logrecord":
      return item.resource["service.name"] ?? item.type;
    default:
      return item.type;
  }
}

function summaryOf(item: LiveItem): string {
  switch (item.type) {
    case "log":
      return item.line;
    case "sample":
      return `${seriesText(item.labels)} ${item.value}`;
    case "span":
      return `${item.name} ${durationText(item.durationMs)}${item.status === "" ? "" : ` ${item.status}`}`;
    case "datapoint":
      return `${item.name}${braced(item.attributes)} ${item.value}`;
    case "logrecord":
      return `${item.severity} ${item.body}`.trim();
    case "profile":
      return `${braced(item.labels)} ${bytesText(item.bytes)}`;
    case "exports":
      return item.exports.map(statementText).join(", ");
  }
}

function statementText(statement: AlloyJsonStatement): string {
  if (statement.type === "block") return statement.name;
  const { value } = statement.value;
  return `${statement.name}: ${Array.isArray(value) ? `${value.length} values` : statement.value.type}`;
}

/** `name{label="value"}` */
function seriesText({ __name__: name = "", ...labels }: Pairs): string {
  return name + braced(labels);
}

function braced(pairs: Pairs): string {
  const inside = Object.entries(pairs).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `{${inside.join(", ")}}`;
}

interface FactsProps {
  readonly item: LiveItem;
  pick(term: string): void;
}

function Facts({ item, pick }: FactsProps) {
  switch (item.type) {
    case "log":
      return (
        <>
          <p class="whole mono">{item.line}</p>
          <Group title="Labels" pairs={item.labels} pick={pick} />
          <Group title="Metadata" pairs={item.metadata} pick={pick} />
        </>
      );
    case "sample":
    case "profile":
      return <Group title="Labels" pairs={item.labels} pick={pick} />;
    case "exports":
      return <pre class="whole">{JSON.stringify(item.exports, undefined, 1)}</pre>;
    default: {
      const { attributes, resource, scope, type: _type, timestamp: _timestamp, ...rest } = item;
      const own = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)]));
      return (
        <>
          <Group title="" pairs={own} pick={pick} />
          <Group title="Attributes" pairs={attributes} pick={pick} />
          <Group title={`Resource${scope === "" ? "" : `, scope ${scope}`}`} pairs={resource} pick={pick} />
        </>
      );
    }
  }
}

interface GroupProps {
  readonly title: string;
  readonly pairs: Pairs;
  pick(term: string): void;
}

function Group({ title, pairs, pick }: GroupProps) {
  const entries = Object.entries(pairs).filter(([, value]) => value !== "");
  if (entries.length === 0) return null;
  return (
    <>
      {title !== "" && <p class="quiet">{title}</p>}
      <ul class="pairs mono">
        {entries.map(([name, value]) => (
          <li key={name}>
            <button type="button" title="Search for this" onClick={() => pick(filterTerm(name, value))}>
              {name}={value}
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
