import { readFile } from "node:fs/promises";

/**
 * The password for a connection from a password file, whose lines are `host:port:database:user:password` with `*` for
 * anything; undefined where none fits or there is no such file. The host of a Unix socket is `localhost`.
 */
export async function passfilePassword(
  path: string,
  connection: { readonly host: string; readonly port: number; readonly database: string; readonly user: string },
): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new Error(`the password file ${path} cannot be read (${code})`, { cause: error });
  }
  const host = connection.host.startsWith("/") ? "localhost" : connection.host;
  const wanted = [host, String(connection.port), connection.database, connection.user];
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const parts = splitFields(line.replace(/\r$/, ""));
    if (parts.length !== 5) continue;
    if (wanted.every((value, i) => parts[i] === "*" || parts[i] === value)) return parts[4];
  }
  return undefined;
}

/** Splits at colons that no backslash stands before. */
function splitFields(line: string): string[] {
  const fields = [""];
  for (let i = 0; i < line.length; i++) {
    const char = line[i]!;
    if (char === "\\" && i + 1 < line.length) fields[fields.length - 1] += line[++i]!;
    else if (char === ":" && fields.length < 5) fields.push("");
    else fields[fields.length - 1] += char;
  }
  return fields;
}
