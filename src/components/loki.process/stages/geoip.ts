import { readFileSync, unwatchFile, watchFile } from "node:fs";
import { isIP } from "node:net";
import { TreeInterpreter } from "@jmespath-community/jmespath";
import { Reader, type Response } from "maxmind";
import type { FieldValue } from "#formats/json-fields";
import { type Infer, s } from "#lang/schema";
import { type Stage, type StageContext, StageError } from "../stage.ts";
import { type GeoRecord, geoFields } from "./geoip-fields.ts";
import { compileExpression, simplify } from "./json.ts";
import { missingSource } from "./source.ts";

export const geoIpBody = s
  .object({
    db: s.string().nonEmpty().doc("Path of the MaxMind database. It is read again when it changes."),
    source: s.string().nonEmpty().doc("Extracted value that holds the address."),
    db_type: s.oneOf(["", "city", "asn", "country"]).default("").doc("Which values to extract."),
    custom_lookups: s
      .map(s.string())
      .optional()
      .doc("Names of extracted values and JMESPath expressions for the database's records."),
  })
  .rule(
    "db_type",
    (args) => args.db_type !== "" || args.custom_lookups !== undefined,
    "or `custom_lookups` is required: say what to extract",
  )
  .doc("Extracts where an IP address is, or whose it is, from a MaxMind database.");

/** Addresses whose values are remembered. */
const CACHE_SIZE = 10_000;
/** How often the file is looked at. */
const WATCH_INTERVAL_MS = 1_000;
/** Databases of makers whose names for kinds are known, and what such a name has to contain. */
const KNOWN_MAKER = /^(?:GeoIP2|GeoLite2|DBIP)-/;
const KINDS = {
  city: /City|Enterprise|Insights/,
  asn: /ASN|ISP|Enterprise/,
  country: /Country|City|Enterprise|Insights/,
} as const;

type Arguments = Infer<typeof geoIpBody>;
type Values = readonly (readonly [name: string, value: FieldValue])[];

/** Alloy's stages/geoip.go. */
export function buildGeoIp(args: Arguments, context: StageContext): Stage {
  const source = context.slots.of(args.source);
  const missing = missingSource(args.source, context);
  const unmatched = context.unmatched("have no IP address", `\`${args.source}\` is no IP address`);
  const unknown = context.note("the address is not in the database");
  const lookups = [...(args.custom_lookups ?? [])].map(([name, expression]) => ({
    name,
    expression: compileExpression(expression === "" ? name : expression),
  }));
  const cache = new Map<string, Values>();
  let reader = openDatabase(args);
  let logged = false;

  watchFile(args.db, { interval: WATCH_INTERVAL_MS, persistent: false }, reload);

  function reload(): void {
    try {
      reader = openDatabase(args);
      cache.clear();
      context.log.info("the GeoIP database has changed and was read again", { db: args.db });
    } catch (error) {
      context.log.error("the GeoIP database has changed and cannot be used; the earlier one stays in use", { error });
    }
  }

  function lookUp(address: string): Values {
    const record = find(reader, address);
    const values: [string, FieldValue][] = [];
    if (record === null) return values;
    if (args.db_type !== "") values.push(...geoFields(args.db_type, record as GeoRecord));
    for (const { name, expression } of lookups) {
      let found: unknown;
      try {
        found = TreeInterpreter.search(expression, record as never);
      } catch {
        continue; // as in Alloy: an expression that fails on a record extracts nothing from it
      }
      if (found !== null && found !== undefined) values.push([name, simplify(found)]);
    }
    return values;
  }

  function valuesOf(address: string): Values {
    let values = cache.get(address);
    if (values === undefined) {
      values = lookUp(address);
      if (cache.size >= CACHE_SIZE) cache.delete(cache.keys().next().value!);
      cache.set(address, values);
    }
    return values;
  }

  return {
    process(entry) {
      const address = entry.text(source);
      if (address === undefined) {
        missing.add();
        return true;
      }
      if (isIP(address) === 0 || address.includes("%")) {
        unmatched.add();
        if (!logged)
          context.log.debug("a value is no IP address; later ones are only counted", { source: args.source });
        logged = true;
        return true;
      }
      const values = valuesOf(address);
      if (values.length === 0) unknown.add();
      for (let i = 0; i < values.length; i++) entry.setNamed(values[i]![0], values[i]![1]);
      return true;
    },
    close() {
      unwatchFile(args.db, reload);
    },
  };
}

function find(reader: Reader<Response>, address: string): unknown {
  try {
    return reader.get(address);
  } catch {
    return null; // an IPv6 address and a database without any
  }
}

/** Throws a StageError that says what to do. */
function openDatabase({ db, db_type }: Arguments): Reader<Response> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(db);
  } catch (cause) {
    const because: Readonly<Record<string, string>> = {
      ENOENT: "there is no such file; download it or correct `db`",
      EACCES: "the permission is missing; let the agent's user read it",
      EISDIR: "it is a folder; name a file in it",
    };
    const { code = "", message } = cause as NodeJS.ErrnoException;
    throw new StageError(`cannot read the GeoIP database ${db}: ${because[code] ?? message}`);
  }
  let reader: Reader<Response>;
  try {
    reader = new Reader<Response>(bytes);
    reader.get("192.0.2.1");
  } catch (cause) {
    throw new StageError(
      `${db} is no MaxMind database, or it is damaged (${(cause as Error).message}): download it again`,
    );
  }
  const kind = reader.metadata.databaseType;
  if (db_type !== "" && KNOWN_MAKER.test(kind) && !KINDS[db_type].test(kind)) {
    throw new StageError(`${db} is a database of the kind ${kind}, which has no values for \`db_type = "${db_type}"\``);
  }
  return reader;
}
