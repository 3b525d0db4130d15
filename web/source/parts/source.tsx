import { type ComponentChildren, Fragment } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Link } from "../router.tsx";
import { type Token, tokenLines, tokens } from "./tokens.ts";

/** A piece of configuration text within a sentence or a table; `references` become links. */
export function Code({ text, references = [] }: { readonly text: string; readonly references?: readonly string[] }) {
  return <code class="source-code">{drawn(tokens(text, references), true)}</code>;
}

export interface LineRange {
  readonly from: number;
  readonly to: number;
}

interface SourceProps {
  readonly text: string;
  /** The number of the text's first line in its file. */
  readonly firstLine: number;
  readonly references: readonly string[];
  readonly marked?: LineRange | undefined;
  /** Changes when the marked lines shall come into sight. */
  readonly reveal?: number;
  readonly label: string;
}

/** Configuration text with the line numbers of its file at the side. */
export function Source({ text, firstLine, references, marked, reveal = 0, label }: SourceProps) {
  const box = useRef<HTMLElement>(null);
  const lines = useMemo(() => tokenLines(text, references), [text, references.join("\n")]);
  useEffect(() => {
    const line = box.current?.querySelector<HTMLElement>(".source-line.marked");
    if (reveal === 0 || line === null || line === undefined) return;
    const { offsetTop } = line;
    const { scrollTop, clientHeight } = box.current!;
    if (offsetTop < scrollTop || offsetTop > scrollTop + clientHeight - 40) box.current!.scrollTop = offsetTop - 60;
  }, [reveal]);
  const width = `${String(firstLine + lines.length - 1).length}ch`;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="source" ref={box} tabIndex={0} aria-label={label}>
      <pre>
        {lines.map((line, i) => {
          const number = firstLine + i;
          const isMarked = marked !== undefined && number >= marked.from && number <= marked.to;
          return (
            <div key={number} class={isMarked ? "source-line marked" : "source-line"} data-line={number}>
              <span class="source-number" style={{ minWidth: width }} aria-hidden="true">
                {number}
              </span>
              <code class="source-code">{line.length === 0 ? "\n" : drawn(line)}</code>
            </div>
          );
        })}
      </pre>
    </section>
  );
}

/** `breaks` allows a new line after a reference. */
function drawn(list: readonly Token[], breaks = false): ComponentChildren {
  return list.map(({ kind, text, id }, i) => {
    // biome-ignore-start lint/suspicious/noArrayIndexKey: tokens have nothing but their place
    if (id !== undefined) {
      return (
        <Fragment key={i}>
          <Link to={`component/${id}`} title={id}>
            {text}
          </Link>
          {breaks && <wbr />}
        </Fragment>
      );
    }
    if (kind === "plain") return text;
    return (
      <span key={i} class={`token-${kind}`}>
        {text}
      </span>
    );
    // biome-ignore-end lint/suspicious/noArrayIndexKey: as above
  });
}
