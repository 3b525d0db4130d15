import { useState } from "preact/hooks";
import type { ArgumentJson, ExplainJson } from "../../agent.ts";
import { Code, type LineRange, Source } from "../../parts/source.tsx";
import { localIdOf } from "../../parts/tokens.ts";
import { Link, setQuery, usePlace } from "../../router.tsx";
import { LongText } from "./long-text.tsx";
import { Neighbours } from "./neighbours.tsx";
import { Section } from "./section.tsx";

/** Arguments as they were evaluated, beside the text that says so. */
export function ArgumentsSection({ explained }: { readonly explained: ExplainJson }) {
  const { source, arguments: all, referencesTo, id } = explained;
  const withDefaults = usePlace().query.get("defaults") === "1";
  const [hovered, setHovered] = useState<ArgumentJson | undefined>(undefined);
  const [chosen, setChosen] = useState<{ argument: ArgumentJson; times: number } | undefined>(undefined);
  const defaults = all.filter(({ origin }) => origin === "default").length;
  const shown = withDefaults ? all : all.filter(({ origin }) => origin === "text");
  const marked = hovered ?? chosen?.argument;
  const said = new Set(all.flatMap(({ references }) => references));
  return (
    <Section name="arguments" title="Arguments">
      <div class="arguments">
        <div class="arguments-table">
          {shown.length === 0 ? (
            <p class="quiet">{all.length === 0 ? "This block takes none." : "The text sets none."}</p>
          ) : (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
            <section class="scroll" tabIndex={0} aria-label="Arguments and their values">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Argument</th>
                    <th scope="col">Value</th>
                    <th scope="col">From</th>
                  </tr>
                </thead>
                <tbody onMouseLeave={() => setHovered(undefined)}>
                  {shown.map((argument) => (
                    <Row
                      key={argument.path}
                      argument={argument}
                      isMarked={marked?.path === argument.path && argument.line > 0}
                      hover={() => setHovered(argument)}
                      leave={() => setHovered(undefined)}
                      choose={() => setChosen({ argument, times: (chosen?.times ?? 0) + 1 })}
                    />
                  ))}
                </tbody>
              </table>
            </section>
          )}
          {defaults > 0 && (
            <button
              type="button"
              aria-pressed={withDefaults}
              onClick={() => setQuery({ defaults: withDefaults ? "" : "1" })}
            >
              {withDefaults ? "Hide defaults" : `Show ${defaults} ${defaults === 1 ? "default" : "defaults"}`}
            </button>
          )}
        </div>
        <div class="arguments-source">
          <Source
            key={id}
            text={unindented(source.text)}
            firstLine={source.line}
            references={referencesTo}
            marked={marked === undefined ? undefined : linesOf(marked)}
            reveal={chosen?.times ?? 0}
            label={`Text in ${source.file}`}
          />
        </div>
      </div>
      <Neighbours title="Uses values of" ids={referencesTo.filter((each) => !said.has(each))} />
    </Section>
  );
}

interface RowProps {
  readonly argument: ArgumentJson;
  readonly isMarked: boolean;
  hover(): void;
  leave(): void;
  choose(): void;
}

function Row({ argument, isMarked, hover, leave, choose }: RowProps) {
  const { path, value, origin, line } = argument;
  return (
    <tr class={isMarked ? "marked" : ""} onMouseEnter={hover} onFocusCapture={hover} onBlurCapture={leave}>
      <th scope="row">
        {line > 0 ? (
          <button type="button" class="path mono" title={`Line ${line}`} onClick={choose}>
            <Path text={path} />
          </button>
        ) : (
          <span class="mono">
            <Path text={path} />
          </span>
        )}
      </th>
      <td>
        {value === "(secret)" ? (
          <span class="quiet" title="The agent shows no secrets.">
            (secret)
          </span>
        ) : (
          <LongText text={value} />
        )}
      </td>
      <td>{origin === "default" ? <span class="quiet">default</span> : <Origin argument={argument} />}</td>
    </tr>
  );
}

/** What stands in a text in place of a secret. */
const HIDDEN = '"(secret)"';
/** Longer expressions are read in the text beside. */
const MAX_EXPRESSION = 120;

/** The expression if it says more than the value, and what it refers to. */
function Origin({ argument }: { readonly argument: ArgumentJson }) {
  const { expression, value, references } = argument;
  const { from, to } = linesOf(argument);
  const isSaid = [value, "", HIDDEN].includes(expression);
  const isShown = !isSaid && from === to && expression.length <= MAX_EXPRESSION;
  const others = isShown ? references.filter((id) => !expression.includes(localIdOf(id))) : references;
  return (
    <>
      {isShown ? (
        <Code text={expression} references={references} />
      ) : (
        <span class="quiet">{from === to ? `line ${from}` : `lines ${from} to ${to}`}</span>
      )}
      {others.map((id) => (
        <div key={id}>
          <Link to={`component/${id}`} class="mono">
            {id}
          </Link>
        </div>
      ))}
    </>
  );
}

/** A path that breaks between its words. */
function Path({ text }: { readonly text: string }) {
  return (
    <>
      {text.split(/(?<=[._])/).map((part, i) => (
        <span key={part + i}>
          {part}
          <wbr />
        </span>
      ))}
    </>
  );
}

/** The text of a block that stands inside of another: its last line says how deep. */
function unindented(text: string): string {
  const depth = /\n([ \t]*)\}$/.exec(text)?.[1] ?? "";
  return depth === "" ? text : text.replaceAll(`\n${depth}`, "\n");
}

/** The lines of an argument's expression. */
function linesOf({ line, expression }: ArgumentJson): LineRange {
  return { from: line, to: line + expression.split("\n").length - 1 };
}
