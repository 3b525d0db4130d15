import { roughDuration } from "#base/duration";
import { errorText } from "#base/log";
import { counter } from "#base/metrics";
import { s } from "#lang/schema";
import { Secret } from "#lang/value";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { type VaultArguments, vaultArguments } from "./arguments.ts";
import { login } from "./login.ts";
import { type VaultAnswer, VaultClient, VaultError } from "./vault-client.ts";

/** A lease is renewed when so much of it is over, as in Vault's LifetimeWatcher. */
const LEASE_SHARE = 2 / 3;
/** After a failure it is tried again so soon. */
const RETRY_MS = 10_000;
/** A renewal that gives less than this part of what was asked for comes close to the token's end. */
const ENOUGH = 0.5;

const metrics = {
  logins: counter("remote_vault_auth_total", "Total number of times this component authenticated to Vault"),
  reads: counter("remote_vault_secret_reads_total", "Total number of times the secret was read from Vault"),
  renewals: counter(
    "remote_vault_auth_lease_renewal_total",
    "Total number of times this component renewed its auth token lease",
  ),
  secretRenewals: counter(
    "remote_vault_secret_lease_renewal_total",
    "Total number of times this component renewed its secret lease",
  ),
};

type Context = ComponentContext<{ readonly data: ReadonlyMap<string, Secret> }, typeof metrics>;

export default defineComponent({
  name: "remote.vault",
  stability: "generally-available",
  summary: "Exports a secret of HashiCorp Vault's KV store, and exports it again when it changes.",
  example: `remote.vault "example" {
  server = "http://127.0.0.1:8200"
  path   = "secret/shop/database"

  auth.token {
    token = "root"
  }
}`,
  args: vaultArguments,
  exports: s.object({ data: s.map(s.secret()).doc("The secret's fields; those that are no strings are left out.") }),
  metrics,

  start(ctx, args) {
    let reader = new VaultReader(ctx, args);
    ctx.stack.defer(() => reader.close());
    ctx.rule("read_failed", () => reader.problem);
    ctx.export({ data: new Map() });
    let again = new AbortController();
    ctx.run(async (signal) => {
      while (!signal.aborted) {
        again = new AbortController();
        const until = AbortSignal.any([signal, again.signal]);
        await ctx.clock.sleep(reader.pauseMs, until).catch(() => {});
        if (!until.aborted) await reader.keep(until);
      }
    });
    return {
      ready: (signal) => reader.begin(signal),
      async update(next) {
        const before = reader;
        const fresh = new VaultReader(ctx, next);
        try {
          if (before.hasBegun) await fresh.begin(ctx.signal);
        } catch (error) {
          await fresh.close();
          throw error;
        }
        reader = fresh;
        again.abort();
        await before.close();
      },
      debugInfo: () => reader.debugInfo(),
    };
  },
});

/** One secret, and the token with which it is read. */
class VaultReader {
  readonly #ctx: Context;
  readonly #args: VaultArguments;
  readonly #vault: VaultClient;
  readonly #secretPath: string;
  #token: Lease | undefined;
  #secret: Lease | undefined;
  #readAt = 0;
  #failure: string | undefined;

  constructor(ctx: Context, args: VaultArguments) {
    this.#ctx = ctx;
    this.#args = args;
    this.#vault = new VaultClient(args, `Invar/${ctx.services.version}`);
    const slash = args.path.indexOf("/");
    const [mount, key] =
      args.key === "" ? [args.path.slice(0, slash), args.path.slice(slash + 1)] : [args.path, args.key];
    this.#secretPath = `${mount}/data/${key}`;
  }

  close(): Promise<void> {
    return this.#vault.close();
  }
  get hasBegun(): boolean {
    return this.#readAt !== 0;
  }
  get problem() {
    if (this.#failure === undefined) return undefined;
    const age = roughDuration(this.#ctx.clock.now() - this.#readAt);
    return { state: "degraded", cause: `${this.#failure}. What was read ${age} ago is in use` } as const;
  }

  /** Logs in and reads. Rejects with what failed. */
  async begin(signal: AbortSignal): Promise<void> {
    await this.#login(signal);
    await this.#read(signal);
  }

  /** Milliseconds until the token or the secret wants to be looked after. */
  get pauseMs(): number {
    if (this.#failure !== undefined) return RETRY_MS;
    const { clock } = this.#ctx;
    const reread = this.#args.reread_frequency === 0 ? Infinity : this.#readAt + this.#args.reread_frequency;
    return Math.max(
      0,
      Math.min(reread, this.#token?.renewAt ?? Infinity, this.#secret?.renewAt ?? Infinity) - clock.now(),
    );
  }

  /** Renews or reads what is due, and everything after a failure. */
  async keep(signal: AbortSignal): Promise<void> {
    const { clock, log, flow } = this.#ctx;
    try {
      const now = clock.now();
      const { reread_frequency } = this.#args;
      if (this.#failure !== undefined) await this.begin(signal);
      else {
        if (now >= (this.#token?.renewAt ?? Infinity)) await this.#renewToken(signal);
        const isOld = reread_frequency > 0 && now >= this.#readAt + reread_frequency;
        if (isOld || now >= (this.#secret?.renewAt ?? Infinity)) await this.#renewSecret(isOld, signal);
      }
      if (this.#failure !== undefined) log.info("the secret can be read again");
      this.#failure = undefined;
      this.#ctx.health(undefined);
      flow.ok();
    } catch (error) {
      if (signal.aborted) return;
      const failure = errorText(error);
      if (this.#failure !== failure) log.error("cannot read the secret", { error: failure });
      this.#failure = failure;
      this.#ctx.health(`failed to read the secret: ${failure}`);
      flow.failed(failure);
    }
    flow.judge();
  }

  debugInfo() {
    return { auth_token: describe(this.#token), secret: describe(this.#secret) };
  }

  async #login(signal: AbortSignal): Promise<void> {
    const answer = await login(this.#args.auth[0]!, this.#vault, signal);
    this.#ctx.metrics.logins.inc();
    this.#token = answer && this.#lease(answer, answer.auth!.leaseSeconds, answer.auth!.isRenewable);
  }

  async #renewToken(signal: AbortSignal): Promise<void> {
    const token = this.#token!;
    if (token.isRenewable) {
      const answer = await this.#vault
        .write("auth/token/renew-self", { increment: token.seconds }, signal)
        .catch(() => undefined); // whatever the reason: logging in says what is wrong, or helps
      const seconds = answer?.auth?.leaseSeconds ?? 0;
      if (seconds > token.seconds * ENOUGH) {
        this.#ctx.metrics.renewals.inc();
        this.#token = this.#lease(answer!, token.seconds, answer!.auth!.isRenewable, seconds);
        return;
      }
    }
    await this.#login(signal);
  }

  async #renewSecret(mustRead: boolean, signal: AbortSignal): Promise<void> {
    const secret = this.#secret;
    if (!mustRead && secret?.isRenewable === true) {
      const body = { lease_id: secret.id, increment: secret.seconds };
      const answer = await this.#vault.write("sys/leases/renew", body, signal).catch(() => undefined);
      if (answer !== undefined && answer.leaseSeconds > secret.seconds * ENOUGH) {
        this.#ctx.metrics.secretRenewals.inc();
        this.#secret = this.#lease(answer, secret.seconds, answer.isRenewable, answer.leaseSeconds);
        return;
      }
    }
    await this.#read(signal);
  }

  async #read(signal: AbortSignal): Promise<void> {
    let answer: VaultAnswer;
    try {
      answer = await this.#vault.read(this.#secretPath, signal);
    } catch (error) {
      // The token may have been revoked or have ended while the machine slept.
      if (!(error instanceof VaultError) || error.status !== 403 || this.#token === undefined) throw error;
      await this.#login(signal);
      answer = await this.#vault.read(this.#secretPath, signal);
    }
    const { clock, metrics, log } = this.#ctx;
    const fields = answer.data.get("data");
    if (typeof fields !== "object" || fields === null) {
      throw new Error(
        `${this.#secretPath} holds no secret of KV version 2: it was deleted, or the mount is of another kind`,
      );
    }
    metrics.reads.inc();
    this.#readAt = clock.now();
    this.#secret = this.#lease(answer, answer.leaseSeconds, answer.isRenewable);
    const data = new Map<string, Secret>();
    for (const [name, value] of Object.entries(fields)) {
      if (typeof value === "string") data.set(name, new Secret(value));
      else log.warn("a field of the secret is no string and is left out", { field: name, type: typeof value });
    }
    this.#ctx.export({ data });
    this.#ctx.flow.ok();
  }

  /** `seconds` is the lease's full length, `left` what of it is left. */
  #lease(answer: VaultAnswer, seconds: number, isRenewable: boolean, left = seconds): Lease {
    const now = this.#ctx.clock.now();
    const renewAt = seconds === 0 ? Infinity : now + Math.max(1_000, left * 1_000 * LEASE_SHARE);
    return { id: answer.leaseId, seconds, isRenewable, renewAt, endsAt: now + left * 1_000, at: now, answer };
  }
}

interface Lease {
  readonly id: string;
  /** 0 for one without an end. */
  readonly seconds: number;
  readonly isRenewable: boolean;
  /** Epoch milliseconds. */
  readonly renewAt: number;
  readonly endsAt: number;
  readonly at: number;
  readonly answer: VaultAnswer;
}

function describe(lease: Lease | undefined) {
  if (lease === undefined) return { warnings: ["no secret necessary for configured auth mechanism"] };
  return {
    latest_request_id: lease.answer.requestId,
    last_update_time: new Date(lease.at).toISOString(),
    secret_expire_time: lease.seconds === 0 ? "" : new Date(lease.endsAt).toISOString(),
    renewable: lease.isRenewable,
    warnings: lease.answer.warnings,
  };
}
