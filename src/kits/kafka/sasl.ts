import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { KafkaError } from "./errors.ts";

/** Logins at a broker: PLAIN (RFC 4616), SCRAM (RFC 5802), OAUTHBEARER (RFC 7628). */

export const SASL_MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] as const;
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

export interface SaslLogin {
  readonly mechanism: SaslMechanism;
  readonly user: string;
  readonly password: () => string;
  /** For OAUTHBEARER; asked for each login. */
  readonly token: (signal: AbortSignal) => Promise<string>;
}

/** RFC 5802 lets a server ask for any number, and each costs time. */
const MAX_ITERATIONS = 1_000_000;
const derive = promisify(pbkdf2);

/** Sends what it is given and resolves with the broker's answer. */
export type SaslExchange = (bytes: Buffer) => Promise<Buffer>;

/** Rejects if either side does not believe the other. */
export async function logIn(login: SaslLogin, exchange: SaslExchange, signal: AbortSignal): Promise<void> {
  const { mechanism, user, password } = login;
  switch (mechanism) {
    case "PLAIN":
      await exchange(Buffer.from(`\0${user}\0${password()}`));
      return;
    case "SCRAM-SHA-256":
      return logInScram("sha256", user, password(), exchange);
    case "SCRAM-SHA-512":
      return logInScram("sha512", user, password(), exchange);
    case "OAUTHBEARER": {
      const answer = await exchange(Buffer.from(`n,,\x01auth=Bearer ${await login.token(signal)}\x01\x01`));
      if (answer.length === 0) return;
      // The broker says what is wrong and expects one more byte before it ends the attempt.
      const said = answer.toString("utf8");
      await exchange(Buffer.from([1])).catch(() => {});
      throw new KafkaError("authentication", `the broker refuses the token: ${said}`);
    }
  }
}

async function logInScram(
  hash: "sha256" | "sha512",
  user: string,
  password: string,
  exchange: SaslExchange,
): Promise<void> {
  const nonce = randomBytes(24).toString("base64");
  const first = `n=${user.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=${nonce}`;
  const challenge = (await exchange(Buffer.from(`n,,${first}`))).toString("utf8");
  const fields = fieldsOf(challenge);
  const serverNonce = fields.get("r") ?? "";
  const salt = Buffer.from(fields.get("s") ?? "", "base64");
  const iterations = Number(fields.get("i"));
  if (!serverNonce.startsWith(nonce) || salt.length === 0 || !(iterations >= 1 && iterations <= MAX_ITERATIONS)) {
    throw new KafkaError("authentication", `the broker's answer to the SCRAM login makes no sense: ${challenge}`);
  }
  const size = hash === "sha256" ? 32 : 64;
  const salted = await derive(password.normalize("NFKC"), salt, iterations, size, hash);
  const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest();
  const clientKey = hmac(salted, "Client Key");
  const withoutProof = `c=biws,r=${serverNonce}`;
  const all = `${first},${challenge},${withoutProof}`;
  const signature = hmac(createHash(hash).update(clientKey).digest(), all);
  const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!));
  const final = await exchange(Buffer.from(`${withoutProof},p=${proof.toString("base64")}`));
  const answered = fieldsOf(final.toString("utf8"));
  const verifier = Buffer.from(answered.get("v") ?? "", "base64");
  const expected = hmac(hmac(salted, "Server Key"), all);
  if (verifier.length !== expected.length || !timingSafeEqual(verifier, expected)) {
    const said = answered.get("e");
    const why = said === undefined ? "it could not show that it knows the password itself" : `it says ${said}`;
    throw new KafkaError("authentication", `the SCRAM login failed: ${why}`);
  }
}

function fieldsOf(text: string): Map<string, string> {
  return new Map(text.split(",").map((part) => [part.slice(0, 1), part.slice(2)]));
}
