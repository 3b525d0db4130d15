import { existsSync } from "node:fs";
import { type ContainerDetails, DockerEngine, type EngineInfo } from "#kits/docker-engine";
import { clientDefaults } from "#kits/http/client";
import { readIfThere } from "#kits/proc-files";
import { allowedEnvironment, type Runtime, type RuntimeContainer } from "./runtime.ts";

export interface DockerRuntimeOptions {
  readonly host: string;
  /** Files for TLS; undefined without it. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  readonly environmentPrefixes: readonly string[];
  /** Where the host's root is mounted, "" for here. */
  root(): string;
  readonly userAgent: string;
  /** Whether the user wrote the host, and so expects Docker to be there. */
  readonly isExpected: boolean;
}

const TIMEOUT_MS = 5_000;
/** Names of the folder of a container's writable layer, by storage driver: container/docker/handler.go. */
const LAYERS: ReadonlyMap<string, (root: string, layer: string) => string> = new Map([
  ["overlay2", (root: string, layer: string) => `${root}/overlay2/${layer}/diff`],
  ["overlay", (root: string, layer: string) => `${root}/overlay/${layer}/upper`],
  ["aufs", (root: string, layer: string) => `${root}/aufs/diff/${layer}`],
]);

/** Docker, through its Engine API: one list of what runs for each scrape, and each container looked at once. */
export class DockerRuntime implements Runtime {
  readonly name = "docker";
  readonly #options: DockerRuntimeOptions;
  readonly #engine: DockerEngine;
  readonly #socket: string | undefined;
  /** What Docker says of each container that runs. */
  #running: ReadonlyMap<string, string> = new Map();
  #info: EngineInfo | undefined;
  problem: string | undefined;

  constructor(options: DockerRuntimeOptions) {
    const { tls } = options;
    const base = clientDefaults();
    const tls_config = {
      ...base.tls_config,
      ca_file: tls?.ca ?? "",
      cert_file: tls?.cert ?? "",
      key_file: tls?.key ?? "",
    };
    this.#options = options;
    this.#socket = options.host.startsWith("unix://") ? options.host.slice("unix://".length) : undefined;
    this.#engine = new DockerEngine({
      host: tls === undefined ? options.host : options.host.replace(/^(tcp|http):/, "https:"),
      http: { ...base, tls_config },
      userAgent: options.userAgent,
      timeoutMs: TIMEOUT_MS,
    });
  }

  async refresh(signal: AbortSignal): Promise<void> {
    // A machine without Docker is no problem.
    if (this.#socket !== undefined && !this.#options.isExpected && !existsSync(this.#socket)) {
      this.#running = new Map();
      this.problem = undefined;
      return;
    }
    try {
      const containers = await this.#engine.containers(new Map(), signal);
      this.#running = new Map(containers.map(({ Id, Status }) => [Id, Status ?? ""]));
      this.#info ??= await this.#engine.info(signal);
      this.problem = undefined;
    } catch (error) {
      if (signal.aborted) return;
      this.problem = `Docker cannot be asked for containers, so that new ones have no name, image and labels: ${(error as Error).message}`;
    }
  }

  async lookUp(id: string, signal: AbortSignal): Promise<RuntimeContainer | undefined> {
    if (!this.#running.has(id)) return undefined;
    try {
      return this.#describe(id, await this.#engine.container(id, signal));
    } catch (error) {
      if (!signal.aborted) this.problem = `Docker does not tell of the container ${id}: ${(error as Error).message}`;
      return undefined;
    }
  }

  isHealthy(id: string): boolean {
    return this.#running.get(id)?.includes("(healthy)") ?? false;
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  #describe(id: string, details: ContainerDetails): RuntimeContainer {
    const { Config: config, State: state } = details;
    const labels = new Map(Object.entries(config?.Labels ?? {}));
    if ((details.RestartCount ?? 0) > 0) labels.set("restartcount", String(details.RestartCount));
    const created = Date.parse(details.Created ?? "");
    return {
      name: (details.Name ?? id).replace(/^\//, ""),
      image: config?.Image ?? "",
      labels,
      environment: allowedEnvironment(config?.Env ?? [], this.#options.environmentPrefixes, (name) =>
        name.toLowerCase(),
      ),
      pid: state?.Pid ?? 0,
      ownsNetwork: !details.HostConfig?.NetworkMode?.startsWith("container:"),
      created: Number.isNaN(created) ? undefined : created,
      folders: this.#folders(id),
    };
  }

  #folders(id: string): string[] {
    const driver = this.#info?.Driver ?? "";
    const layerOf = LAYERS.get(driver);
    if (layerOf === undefined) return [];
    const root = this.#options.root() + (this.#info?.DockerRootDir ?? "/var/lib/docker");
    const layer = readIfThere(`${root}/image/${driver}/layerdb/mounts/${id}/mount-id`)?.trim();
    return layer === undefined || layer === "" ? [] : [layerOf(root, layer), `${root}/containers/${id}`];
  }
}
