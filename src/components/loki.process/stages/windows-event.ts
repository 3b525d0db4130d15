import { type Infer, s } from "#lang/schema";
import type { Entry } from "../entry.ts";
import type { Stage, StageContext } from "../stage.ts";
import { isExtracted, trimSpace } from "./event-log-message.ts";
import { missingSource } from "./source.ts";

export const windowsEventBody = s
  .object({
    source: s.string().nonEmpty().default("message").doc("Extracted value to parse."),
    drop_invalid_labels: s.bool().default(false).doc("Leave out fields without a name, rather than calling them `_`."),
    overwrite_existing: s
      .bool()
      .default(false)
      .doc("Overwrite extracted values, rather than adding `_extracted` to the new name."),
  })
  .doc("Extracts the description and the fields of the message of a Windows event, section by section.");

/**
 * Alloy's stages/windowsevent.go: the first section is `Description`; in others, a first line that ends in a colon is the
 * title, which the names of its fields begin with; lines without a colon continue the value above. Names may have any
 * characters but white space. An entry whose source is null passes, where Alloy loses it.
 */
export function buildWindowsEvent(args: Infer<typeof windowsEventBody>, context: StageContext): Stage {
  const source = context.slots.of(args.source);
  const missing = missingSource(args.source, context);
  // Whether a name is taken must be known even where nobody reads its value.
  if (!args.overwrite_existing) context.slots.keepsAll = true;

  function extract(entry: Entry, rawName: string, rawValue: string): void {
    let name = rawName.replace(/[\t\r\n ]/g, "");
    if (name === "") {
      if (args.drop_invalid_labels) return;
      name = "_";
    }
    if (!args.overwrite_existing && isExtracted(entry, name)) name += "_extracted";
    entry.setNamed(name, trimSpace(rawValue.replace(/[\t\r\n]/g, "")));
  }

  function extractSection(entry: Entry, section: string): void {
    const lines = section.split("\r\n");
    let title = "";
    for (let i = 0; i < lines.length; ) {
      const line = lines[i++]!;
      const colon = line.indexOf(":");
      if (colon < 0) continue;
      const name = line.slice(0, colon);
      let value = line.slice(colon + 1);
      if (value === "") {
        if (i === 1) title = name;
        continue;
      }
      while (i < lines.length && lines[i] !== "" && !lines[i]!.includes(":")) value += `,${lines[i++]}`;
      extract(entry, title === "" ? name : `${title}_${name}`, value);
    }
  }

  return {
    process(entry) {
      const text = entry.text(source);
      if (text === undefined) {
        missing.add();
        return true;
      }
      const [description, ...sections] = text.split("\r\n\r\n");
      extract(entry, "Description", description!);
      for (const section of sections) extractSection(entry, section);
      return true;
    },
  };
}
