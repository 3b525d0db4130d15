import type { BodyRules, Convert } from "./body.ts";
import { GRPC_CLIENT, grpcServer, httpServer } from "./shared-blocks.ts";

/** A file with the token is stronger than a token. */
const token: Convert = (section, name, context) => {
  const given = section.text(name);
  const file = section.text("filename");
  if (file === undefined) return given;
  if (given !== undefined) section.add("Info", name, "has no effect, in the Collector neither: there is a file");
  return { expression: context.contentOf(file.expression), fixed: undefined };
};

export const BEARER: BodyRules = { convert: { token }, missing: ["tokens"] };

export const HEADERS: BodyRules = {
  from: { header: "headers" },
  blocks: { header: { missing: ["value_file", "default_value"] } },
  missing: ["additional_auth"],
};

export const SIGV4: BodyRules = {
  blocks: { assume_role: { missing: ["web_identity_token_file", "external_id"] } },
};

const DIRECTORY = '"/var/lib/otelcol/file_storage"';

export const FILE_STORAGE: BodyRules = {
  defaults: { directory: DIRECTORY, create_directory: "false" },
  blocks: { compaction: { defaults: { directory: DIRECTORY } } },
  missing: ["max_size", "recreate"],
};

export const JAEGER_REMOTE_SAMPLING: BodyRules = {
  blocks: {
    grpc: { ...grpcServer("localhost:14250"), always: true },
    http: { ...httpServer("localhost:5778", false), always: true },
    source: { blocks: { remote: { ...GRPC_CLIENT, defaults: { compression: '"none"' } } } },
  },
};
