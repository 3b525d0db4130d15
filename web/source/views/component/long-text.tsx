import { useState } from "preact/hooks";
import { Code } from "../../parts/source.tsx";
import { bytesText } from "../../text.ts";

const MAX_LENGTH = 600;
const MAX_LINES = 12;
/** What is left of more than that. */
const FEW_LINES = 8;

/** Configuration text that is shown in part when it is long. */
export function LongText({
  text,
  references = [],
}: {
  readonly text: string;
  readonly references?: readonly string[];
}) {
  const [isWhole, setWhole] = useState(false);
  const lines = text.split("\n");
  const short = (lines.length > MAX_LINES ? lines.slice(0, FEW_LINES) : lines).join("\n").slice(0, MAX_LENGTH);
  if (short.length === text.length) return <Code text={text} references={references} />;
  return (
    <>
      <Code text={isWhole ? text : `${short} …`} references={references} />{" "}
      <button type="button" class="small" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
        {isWhole ? "Show less" : `Show all ${lines.length > 1 ? `${lines.length} lines` : bytesText(text.length)}`}
      </button>
    </>
  );
}
