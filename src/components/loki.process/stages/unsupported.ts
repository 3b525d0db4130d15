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
  .unsupported("Windows events are not read yet");

export const windowsEventBody = s
  .object(windowsFields)
  .doc("Parses the message of a Windows event into its sections.")
  .unsupported("Windows events are not read yet");

export const geoIpBody = s
  .object({
    db: s.string().doc("Path of the MaxMind database."),
    source: s.string().doc("Extracted value that holds the address."),
    db_type: s.string().default("").doc("`city`, `asn` or `country`."),
    custom_lookups: s.map(s.string()).optional().doc("Names of extracted values and paths in the database."),
  })
  .doc("Looks up where an IP address is.")
  .unsupported("MaxMind databases are not read yet");
