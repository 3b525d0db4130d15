import type { ComponentChildren } from "preact";
import type { EdgeJson, ExplainJson, FlowJson, StatusJson } from "../../agent.ts";
import { Age } from "../../parts/age.tsx";
import { type Column, DataTable } from "../../parts/data-table.tsx";
import { State } from "../../parts/state.tsx";
import { Link } from "../../router.tsx";
import { bytesText, durationText, rateText } from "../../text.ts";
import { hasFlowed } from "./has-flowed.ts";
import { useRates } from "./rates.ts";
import { Section } from "./section.tsx";
import { countText } from "./values.ts";

interface FlowSectionProps {
  readonly explained: ExplainJson;
  readonly flow: FlowJson;
  readonly status: StatusJson | undefined;
  readonly now: number;
}

/** An edge seen from one of its ends. */
interface Neighbour {
  readonly id: string;
  readonly edge: EdgeJson;
  readonly rate: number | undefined;
}

/** Where data come from and go to, what waits and what is lost. */
export function FlowSection({ explained, flow, status, now }: FlowSectionProps) {
  const { id } = explained;
  const senders = (status?.components ?? []).flatMap((each) =>
    each.flow.sent.filter(({ to }) => to === id).map((edge) => [each.id, edge] as const),
  );
  const inRates = useRates(status, new Map(senders.map(([from, { items }]) => [from, items])));
  const outRates = useRates(explained, new Map(flow.sent.map(({ to, items }) => [to, items])));
  const from = senders.map(([sender, edge]): Neighbour => ({ id: sender, edge, rate: inRates.get(sender) }));
  const to = flow.sent.map((edge): Neighbour => ({ id: edge.to, edge, rate: outRates.get(edge.to) }));
  const states = new Map(status?.components.map((each) => [each.id, each.flow.state]));
  const columns = (end: string): readonly Column<Neighbour>[] => [
    {
      name: "component",
      title: end,
      value: (each) => each.id,
      cell: (each) => (
        <>
          <Link to={`component/${each.id}`} class="mono">
            {each.id}
          </Link>{" "}
          {states.has(each.id) && <State state={states.get(each.id)!} />}
        </>
      ),
    },
    ...edgeColumns(now),
  ];
  const isQuiet = !hasFlowed(flow) && from.length === 0;
  return (
    <Section name="flow" title="Data flow">
      {isQuiet ? (
        <p class="quiet">No data has come in and none has gone out.</p>
      ) : (
        <Totals flow={flow} takes={flow.received.items > 0 || from.length > 0} now={now} />
      )}
      {from.length > 0 && (
        <DataTable
          name="from"
          label="Where data come from"
          noun="senders"
          columns={columns("Comes from")}
          rows={from}
          keyOf={(each) => each.id}
        />
      )}
      {to.length > 0 && (
        <DataTable
          name="to"
          label="Where data go to"
          noun="consumers"
          columns={columns("Goes to")}
          rows={to}
          keyOf={(each) => each.id}
        />
      )}
      <EdgeErrors edges={to} now={now} />
      <Drops flow={flow} answer={explained} />
    </Section>
  );
}

function edgeColumns(now: number): readonly Column<Neighbour>[] {
  return [
    {
      name: "signal",
      title: "Signal",
      value: ({ edge }) => edge.signal ?? "",
      cell: ({ edge }) => edge.signal ?? <span class="quiet">–</span>,
    },
    {
      name: "items",
      title: "Items",
      isNumber: true,
      value: ({ edge }) => edge.items,
      cell: ({ edge }) => countText(edge.items),
    },
    {
      name: "rate",
      title: "Now",
      isNumber: true,
      value: ({ rate }) => rate ?? 0,
      cell: ({ rate }) => (rate === undefined ? <span class="quiet">–</span> : rateText(rate)),
    },
    {
      name: "bytes",
      title: "Size",
      isNumber: true,
      value: ({ edge }) => edge.bytes,
      cell: ({ edge }) => bytesText(edge.bytes),
    },
    {
      name: "waiting",
      title: "Waiting",
      isNumber: true,
      value: ({ edge }) => edge.waiting,
      cell: ({ edge }) =>
        edge.waitingSince === null ? (
          countText(edge.waiting)
        ) : (
          <>
            {countText(edge.waiting)}, <Age time={edge.waitingSince} now={now} />
          </>
        ),
    },
    {
      name: "dropped",
      title: "Refused",
      isNumber: true,
      value: ({ edge }) => edge.dropped,
      cell: ({ edge }) => <span class={edge.dropped > 0 ? "bad" : ""}>{countText(edge.dropped)}</span>,
    },
    {
      name: "last",
      title: "Last",
      value: ({ edge }) => edge.last ?? "",
      cell: ({ edge }) => (edge.last === null ? <span class="quiet">never</span> : <Age time={edge.last} now={now} />),
    },
  ];
}

interface TotalsProps {
  readonly flow: FlowJson;
  /** Whether anything comes in; sources only give. */
  readonly takes: boolean;
  readonly now: number;
}

function Totals({ flow, takes, now }: TotalsProps) {
  const { received, sent, dropped, rates, queue, unacknowledged } = flow;
  const total = (list: readonly { readonly items: number }[]) => list.reduce((sum, { items }) => sum + items, 0);
  const sentBytes = sent.reduce((sum, { bytes }) => sum + bytes, 0);
  // What the configuration wants dropped, such as by a stage, is no reason to worry.
  const lost = total(dropped);
  return (
    <dl class="tiles">
      {takes && (
        <Tile
          title="In"
          value={countText(received.items)}
          more={`${rateText(rates.received)}, ${bytesText(received.bytes)}`}
        />
      )}
      {sent.length > 0 && (
        <Tile title="Out" value={countText(total(sent))} more={`${rateText(rates.sent)}, ${bytesText(sentBytes)}`} />
      )}
      <Tile
        title="Dropped"
        value={countText(lost)}
        more={rateText(rates.dropped)}
        isBad={lost > 0 && flow.state !== "ok"}
      />
      {queue !== null && <QueueTile queue={queue} now={now} />}
      {unacknowledged.items > 0 && (
        <Tile
          title="Not safe yet"
          value={countText(unacknowledged.items)}
          more={
            <>
              {bytesText(unacknowledged.bytes)}
              {unacknowledged.oldest !== null && (
                <>
                  , the oldest read <Age time={unacknowledged.oldest} now={now} />
                </>
              )}
            </>
          }
        />
      )}
    </dl>
  );
}

interface TileProps {
  readonly title: string;
  readonly value: ComponentChildren;
  readonly more: ComponentChildren;
  readonly isBad?: boolean;
}

function Tile({ title, value, more, isBad }: TileProps) {
  return (
    <div class={isBad ? "tile bad" : "tile"}>
      <dt>{title}</dt>
      <dd>
        <b>{value}</b>
        <span class="quiet">{more}</span>
      </dd>
    </div>
  );
}

/** A queue that is full within the hour needs somebody. */
const SOON_SECONDS = 3600;

function QueueTile({ queue, now }: { readonly queue: NonNullable<FlowJson["queue"]>; readonly now: number }) {
  const { bytes, limitBytes, oldest, fullInSeconds } = queue;
  const isNear = fullInSeconds !== null && fullInSeconds < SOON_SECONDS;
  const more = (
    <>
      {limitBytes !== null && (
        <meter
          min={0}
          max={limitBytes}
          low={limitBytes * 0.5}
          high={limitBytes * 0.8}
          optimum={0}
          value={bytes}
          aria-label="How full the queue is"
        />
      )}
      {oldest === null ? (
        "nothing waits"
      ) : (
        <>
          the oldest came <Age time={oldest} now={now} />
        </>
      )}
      {fullInSeconds !== null && (
        <span class={isNear ? "bad" : ""}>, full in about {durationText(fullInSeconds * 1000)}</span>
      )}
    </>
  );
  const value = limitBytes === null ? bytesText(bytes) : `${bytesText(bytes)} of ${bytesText(limitBytes)}`;
  return <Tile title="Queue" value={value} more={more} isBad={isNear} />;
}

function EdgeErrors({ edges, now }: { readonly edges: readonly Neighbour[]; readonly now: number }) {
  const failed = edges.flatMap(({ id, edge }) => (edge.lastError === null ? [] : [{ id, ...edge.lastError }]));
  if (failed.length === 0) return null;
  return (
    <ul class="edge-errors">
      {failed.map(({ id, time, message }) => (
        <li key={id}>
          To <span class="mono">{id}</span>, <Age time={time} now={now} />: <span class="bad">{message}</span>
        </li>
      ))}
    </ul>
  );
}

function Drops({ flow, answer }: { readonly flow: FlowJson; readonly answer: unknown }) {
  const keyOf = ({ signal, reason }: FlowJson["dropped"][number]) => `${signal} ${reason}`;
  const rates = useRates(answer, new Map(flow.dropped.map((each) => [keyOf(each), each.items])));
  if (flow.dropped.length === 0) return null;
  return (
    <div class="scroll drops">
      <table>
        <caption class="hidden">What was dropped and why</caption>
        <thead>
          <tr>
            <th scope="col">Dropped because of</th>
            <th scope="col">Signal</th>
            <th scope="col" class="number">
              Items
            </th>
            <th scope="col" class="number">
              Now
            </th>
          </tr>
        </thead>
        <tbody>
          {flow.dropped.map((each) => (
            <tr key={keyOf(each)}>
              <th scope="row" class="mono">
                {each.reason}
              </th>
              <td>{each.signal}</td>
              <td class="number">{countText(each.items)}</td>
              <td class="number">{rates.has(keyOf(each)) ? rateText(rates.get(keyOf(each))!) : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
