import {
  AuthenticationError,
  type AuthHandler,
  authExports,
  type ClientAuth,
  type ServerAuth,
} from "#kits/otelcol/auth";
import { FileValue } from "#kits/otelcol/file-value";
import { Htpasswd } from "#kits/otelcol/htpasswd";
import { debugMetricsSchema } from "#kits/otelcol/schema";
import { type Infer, s } from "#lang/schema";
import { Secret } from "#lang/value";
import { defineComponent } from "#pipeline/component";

const args = s
  .object({
    username: s.string().default("").deprecated("use the `client_auth` or `htpasswd` block").doc("Name of the user."),
    password: s
      .secret()
      .default("")
      .deprecated("use the `client_auth` or `htpasswd` block")
      .doc("Password of the user."),
    client_auth: s
      .block(
        s.object({
          username: s.string().default("").doc("Name of the user."),
          username_file: s.string().default("").doc("File with the name of the user."),
          password: s.secret().default("").doc("Password of the user."),
          password_file: s.string().default("").doc("File with the password of the user."),
        }),
      )
      .doc("Credentials for clients to send."),
    htpasswd: s
      .block(
        s.object({
          file: s.string().default("").doc("An htpasswd file."),
          inline: s.string().default("").doc("Lines of an htpasswd file."),
        }),
      )
      .doc("Credentials for servers to accept."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule(
    "client_auth",
    (a) => a.username !== "" || a.password.reveal() !== "" || a.htpasswd !== undefined || a.client_auth !== undefined,
    "or `htpasswd` is required: no credential source provided",
  )
  .rule("password", (a) => a.username === "" || a.password.reveal() !== "", "is required with `username`")
  // Alloy leaves out a block that lacks either, and then says no more than that there are no credentials.
  .rule(
    "client_auth",
    ({ client_auth: a }) => a === undefined || a.username !== "" || a.username_file !== "",
    "has no user: set `username` or `username_file` (no credential source provided)",
  )
  .rule(
    "client_auth",
    ({ client_auth: a }) => a === undefined || a.password.reveal() !== "" || a.password_file !== "",
    "has no password, or an empty one: set `password` or `password_file` (no credential source provided)",
  );
type Arguments = Infer<typeof args>;

export default defineComponent({
  name: "otelcol.auth.basic",
  stability: "generally-available",
  summary: "Basic authentication for clients and servers of OTLP.",
  example: `otelcol.auth.basic "default" {
  client_auth {
    username = "user"
    password = "secret"
  }
}`,
  args,
  exports: authExports,

  start(ctx, first) {
    const now = () => ctx.clock.monotonic();
    const handler = (given: Arguments): AuthHandler => ({
      componentId: ctx.id,
      client: client(given, now),
      server: server(given, now),
    });
    ctx.export({ handler: handler(first) });
    return { update: (next) => ctx.export({ handler: handler(next) }) };
  },
});

function client({ username, password, client_auth: block }: Arguments, now: () => number): ClientAuth {
  const nameFile = block?.username_file ? new FileValue(block.username_file, now) : undefined;
  const passwordFile = block?.password_file ? new FileValue(block.password_file, now) : undefined;
  const name = block === undefined ? username : block.username;
  const secret = block === undefined ? password : block.password;
  return async ({ headers }) => {
    const user = nameFile === undefined ? name : await nameFile.get();
    const pass = passwordFile === undefined ? secret.reveal() : await passwordFile.get();
    headers.set("authorization", `Basic ${Buffer.from(`${user}:${pass}`).toString("base64")}`);
  };
}

function server({ username, password, htpasswd }: Arguments, now: () => number): ServerAuth {
  const inline = [htpasswd?.inline ?? "", username === "" ? "" : `${username}:${password.reveal()}`].join("\n");
  const file = htpasswd?.file ? new FileValue(htpasswd.file, now) : undefined;
  // Held as a secret, since it contains passwords.
  let known = new Secret(inline);
  let table = new Htpasswd(inline);
  return async (headers) => {
    const raw = /^Basic (.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (raw === undefined) throw new AuthenticationError("authentication didn't succeed: no basic auth provided");
    const text = file === undefined ? inline : `${await file.get()}\n${inline}`;
    if (text !== known.reveal()) {
      known = new Secret(text);
      table = new Htpasswd(text);
    }
    const [user, pass] = splitOnce(Buffer.from(raw, "base64").toString("utf8"));
    if (pass === undefined) throw new AuthenticationError("invalid authorization format");
    if (!table.matches(user, pass)) throw new AuthenticationError("invalid credentials");
    return new Map([
      ["username", user],
      ["raw", raw],
    ]);
  };
}

function splitOnce(text: string): [string, string | undefined] {
  const mark = text.indexOf(":");
  return mark < 0 ? [text, undefined] : [text.slice(0, mark), text.slice(mark + 1)];
}
