import { useEffect, useState } from "preact/hooks";
import type { ExplainJson } from "../../agent.ts";
import { Problem } from "../../parts/empty.tsx";
import { Code } from "../../parts/source.tsx";
import { Link } from "../../router.tsx";
import {
  type ArgumentReference,
  askReference,
  type BlockReference,
  type BodyReference,
  bodyOf,
  type ComponentReference,
  type ReferenceJson,
  typeText,
} from "./schema.ts";
import { Section } from "./section.tsx";

interface ReferenceSectionProps {
  readonly id: string;
  readonly explained: ExplainJson;
  /** It is a quarter of a megabyte, so only for those who want to read it. */
  readonly isOpen: boolean;
}

/** What blocks of this name take and give. */
export function ReferenceSection({ id, explained, isOpen }: ReferenceSectionProps) {
  const [reference, setReference] = useState<ReferenceJson | Error | undefined>(undefined);
  useEffect(() => {
    if (isOpen && !(reference !== undefined && !(reference instanceof Error))) {
      askReference().then(setReference, setReference);
    }
  }, [isOpen, id]);
  const { name, kind } = explained;
  if (reference === undefined) {
    return (
      <Section name="reference" title="Reference">
        <p>
          <Link to={`component/${id}`} query={{ section: "reference" }}>
            What <code>{name}</code> takes and gives
          </Link>
        </p>
      </Section>
    );
  }
  if (reference instanceof Error) {
    return (
      <Section name="reference" title="Reference">
        <Problem error={reference} />
      </Section>
    );
  }
  const component = reference.components[name];
  const block = reference.blocks[name];
  return (
    <Section name="reference" title="Reference">
      {component !== undefined ? (
        <Component name={name} reference={component} />
      ) : block !== undefined ? (
        <Body body={bodyOf(block)} name={name} />
      ) : (
        <p class="quiet">
          {kind === "custom"
            ? "A custom component: its arguments are the argument blocks of its declare."
            : "There is no reference for this block."}
        </p>
      )}
    </Section>
  );
}

function Component({ name, reference }: { readonly name: string; readonly reference: ComponentReference }) {
  const { summary, stability, example } = reference;
  const exported = Object.entries(reference.exports?.properties ?? {});
  return (
    <>
      <p>
        <Prose text={summary} /> <span class="quiet">Stability: {stability}.</span>
      </p>
      {example !== undefined && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <section class="source example" tabIndex={0} aria-label="Example">
          <pre>
            <Code text={example} />
          </pre>
        </section>
      )}
      <Body body={bodyOf(reference.arguments)} name={name} />
      {exported.length > 0 && (
        <>
          <h3>Exports of {name}</h3>
          <ArgumentTable
            label={`Exports of ${name}`}
            list={exported.map(([each, schema]) => ({ name: each, schema, isRequired: false }))}
            isExports
          />
        </>
      )}
    </>
  );
}

function Body({ body, name }: { readonly body: BodyReference; readonly name: string }) {
  return (
    <>
      {body.arguments.length > 0 && (
        <>
          <h3>Arguments of {name}</h3>
          <ArgumentTable label={`Arguments of ${name}`} list={body.arguments} />
        </>
      )}
      {body.blocks.length > 0 && (
        <>
          <h3>Blocks in {name}</h3>
          <Blocks blocks={body.blocks} path={name} />
        </>
      )}
    </>
  );
}

function Blocks({ blocks, path }: { readonly blocks: readonly BlockReference[]; readonly path: string }) {
  return (
    <div class="reference-blocks">
      {blocks.map((block) => (
        <Block key={block.name} block={block} path={`${path} ${block.name}`} />
      ))}
    </div>
  );
}

function Block({ block, path }: { readonly block: BlockReference; readonly path: string }) {
  const { name, description, isRequired, isRepeated, body } = block;
  const [isOpen, setOpen] = useState(false);
  const notes = [...(isRequired ? ["required"] : []), ...(isRepeated ? ["repeatable"] : [])];
  return (
    <details class="reference-block" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span class="mono">{name}</span> {notes.length > 0 && <span class="quiet">({notes.join(", ")})</span>}{" "}
        <Prose text={description} />
      </summary>
      {isOpen && body === undefined && <p class="quiet">Takes the same blocks as those around it.</p>}
      {isOpen && body !== undefined && (
        <>
          {body.arguments.length > 0 && <ArgumentTable label={`Arguments of ${path}`} list={body.arguments} />}
          {body.blocks.length > 0 && <Blocks blocks={body.blocks} path={path} />}
          {body.arguments.length + body.blocks.length === 0 && <p class="quiet">It takes nothing.</p>}
        </>
      )}
    </details>
  );
}

interface ArgumentTableProps {
  readonly label: string;
  readonly list: readonly ArgumentReference[];
  readonly isExports?: boolean;
}

function ArgumentTable({ label, list, isExports = false }: ArgumentTableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="scroll" tabIndex={0} aria-label={label}>
      <table class="reference-table">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Type</th>
            {!isExports && <th scope="col">Default</th>}
            <th scope="col">What it is</th>
          </tr>
        </thead>
        <tbody>
          {list.map(({ name, schema, isRequired }) => (
            <tr key={name}>
              <th scope="row" class="mono">
                {name}
              </th>
              <td class="mono">{typeText(schema)}</td>
              {!isExports && (
                <td>
                  {isRequired ? (
                    <b>required</b>
                  ) : schema.default === undefined ? (
                    <span class="quiet">none</span>
                  ) : (
                    <Code text={JSON.stringify(schema.default)} />
                  )}
                </td>
              )}
              <td>
                <Prose text={schema.description ?? (schema.title === undefined ? "" : "What others send to.")} />{" "}
                <Limits argument={schema} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Limits({ argument }: { readonly argument: ArgumentReference["schema"] }) {
  const { minimum, maximum, deprecated } = argument;
  const values = argument.enum ?? argument.examples ?? argument.items?.enum;
  return (
    <span class="quiet">
      {values !== undefined && (
        <>
          One of{" "}
          {values.map((value, i) => (
            <span key={value}>
              {i > 0 && ", "}
              <code>{JSON.stringify(value)}</code>
            </span>
          ))}
          .{" "}
        </>
      )}
      {minimum !== undefined && maximum !== undefined
        ? `From ${minimum} to ${maximum}. `
        : minimum !== undefined
          ? `At least ${minimum}. `
          : maximum !== undefined && `At most ${maximum}. `}
      {deprecated && "Deprecated."}
    </span>
  );
}

/** Text with code in backticks. */
function Prose({ text }: { readonly text: string }) {
  return <>{text.split("`").map((part, i) => (i % 2 === 0 ? part : <code key={i}>{part}</code>))}</>;
}
