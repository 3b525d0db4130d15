import type { HttpClientArguments } from "./http/client-schema.ts";

/** What a client has to show, for messages about a server that refuses it. */
export interface ShownCredentials {
  /** Names of the arguments for credentials that could be set: `basic_auth or bearer_token`. */
  readonly settable: string;
  /** The argument that is set; undefined for none. */
  readonly given: string | undefined;
  /** What of it is empty, such as `basic_auth.password`. */
  readonly empty: string | undefined;
  /** How to name a tenant. */
  readonly tenant: string;
}

const TENANT = 'set headers = { "X-Scope-OrgID" = "TENANT" }';

/** What the shared arguments of HTTP clients show to the server at `url`. */
export function shownCredentials(args: HttpClientArguments, url: string): ShownCredentials {
  const { basic_auth, authorization, oauth2, bearer_token, bearer_token_file } = args;
  const shown = { settable: "basic_auth, authorization, oauth2 or bearer_token", tenant: TENANT, empty: undefined };
  if (basic_auth !== undefined) {
    const isEmpty = basic_auth.password.reveal() === "" && basic_auth.password_file === "";
    return { ...shown, given: "basic_auth", empty: isEmpty ? "basic_auth.password" : undefined };
  }
  if (authorization !== undefined) {
    const isEmpty = authorization.credentials.reveal() === "" && authorization.credentials_file === "";
    return { ...shown, given: "authorization", empty: isEmpty ? "authorization.credentials" : undefined };
  }
  if (oauth2 !== undefined) return { ...shown, given: "oauth2" };
  if (URL.parse(url)?.username) return { ...shown, given: "the user and password in the URL" };
  const hasToken = bearer_token.reveal() !== "" || bearer_token_file !== "";
  return { ...shown, given: hasToken ? "bearer_token" : undefined };
}

/** What to do about an answer 401 or 403 whose body is `text`. */
export function credentialsRemedy(text: string, { settable, given, empty, tenant }: ShownCredentials): string {
  if (/no org id/i.test(text)) return `the backend has several tenants: ${tenant}`;
  if (empty !== undefined) return `${empty} is empty: set it, or the environment variable that it comes from`;
  if (given === undefined) return `it wants credentials and none are configured: set ${settable}`;
  return `check ${given}, and the tenant (X-Scope-OrgID) if the backend has several`;
}
