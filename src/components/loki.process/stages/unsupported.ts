import { s } from "#lang/schema";

/** Stages that Alloy has and this agent does not have yet: their bodies are known, writing one is a clear diagnostic. */

const windowsFields = {
  source: s.string().default("message").doc("Extracted value to parse."),
  drop_invalid_labels: s.bool().default(false).doc("Whether to drop fields whose names are not valid for labels."),
  overwrite_existing: s.bool().default(false).doc("Whether to overwrite extracted values."),
};

export const eventLogMessageBody = s
  .object(windowsFields)
  .doc("Parses the message of a Windows event.")
  .unsupported("stage.eventlogmessage is not supported yet");

export const windowsEventBody = s
  .object(windowsFields)
  .doc("Parses the message of a Windows event into its sections.")
  .unsupported("stage.windowsevent is not supported yet");

export const geoIpBody = s
  .object({
    db: s.string().doc("Path of the MaxMind database."),
    source: s.string().doc("Extracted value that holds the address."),
    db_type: s.string().default("").doc("`city`, `asn` or `country`."),
    custom_lookups: s.map(s.string()).optional().doc("Names of extracted values and paths in the database."),
  })
  .doc("Looks up where an IP address is.")
  .unsupported("stage.geoip is not supported yet");

export const replaceBody = s
  .object({
    expression: s.regex().doc("RE2 expression whose groups are replaced."),
    source: s.string().default("").doc("Extracted value to work on instead of the line."),
    replace: s.string().default("").doc("Go template of the replacement."),
  })
  .doc("Replaces text.")
  .unsupported("stage.replace is not supported yet, because Go templates are not");

export const templateBody = s
  .object({
    source: s.string().nonEmpty().doc("Extracted value to set."),
    template: s.string().doc("Go template."),
  })
  .doc("Sets an extracted value from a template.")
  .unsupported("stage.template is not supported yet, because Go templates are not");
