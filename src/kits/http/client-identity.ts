import type { HttpClientArguments } from "./client-schema.ts";

/** What tells senders to one URL apart. */
export interface SenderArguments extends Pick<HttpClientArguments, IdentifyingField> {
  readonly headers: ReadonlyMap<string, string> | undefined;
}
type IdentifyingField = "basic_auth" | "authorization" | "oauth2" | "bearer_token_file" | "http_headers";

/**
 * Who a sender is towards its server: user, client id, files of credentials and headers, as a text for hashing. Secrets
 * are left out, as in the hashes by which Prometheus and Alloy name endpoints, so that a new password is no new sender.
 */
export function senderIdentity(args: SenderArguments): string {
  const { basic_auth: basic, authorization, oauth2 } = args;
  return JSON.stringify([
    basic === undefined ? null : [basic.username, basic.password_file],
    authorization === undefined ? null : [authorization.type, authorization.credentials_file],
    oauth2 === undefined ? null : [oauth2.client_id, oauth2.token_url, oauth2.client_secret_file, oauth2.scopes ?? []],
    args.bearer_token_file,
    [...(args.headers ?? [])].sort(),
    [...(args.http_headers?.keys() ?? [])].sort(),
  ]);
}
