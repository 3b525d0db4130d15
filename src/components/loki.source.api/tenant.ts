import { HttpError } from "#kits/http/server";

const MAX_LENGTH = 150;
const UNSUPPORTED = /[^a-zA-Z0-9!\-_.*'()]/;

/**
 * The tenant that a client names, empty for none, as Grafana's servers read it (github.com/grafana/dskit/tenant): what is
 * behind a colon is a part of a tenant, and several may be named with `|` if they are the same. 400 for what Alloy takes
 * for no tenant at all, since the entries would go to another one.
 */
export function tenantOf(header: string): string {
  if (header === "") return "";
  const [tenant, ...others] = [...new Set(header.split("|").map((each) => each.split(":", 1)[0]!))];
  const refuse = (problem: string) => {
    throw new HttpError(400, `X-Scope-OrgID ${problem}: name one tenant, in letters, digits and !-_.*'()`);
  };
  if (others.length > 0) refuse("names several tenants");
  const bad = UNSUPPORTED.exec(tenant!);
  if (bad !== null) refuse(`has the character ${JSON.stringify(bad[0])}`);
  if (tenant!.length > MAX_LENGTH) refuse(`is longer than ${MAX_LENGTH} characters`);
  if (tenant === "." || tenant === "..") refuse("is a name of folders");
  return tenant!;
}
