import { existsSync } from "node:fs";
import { errorText } from "#base/log";
import { ContainerdClient, type ContainerdOptions } from "#kits/containerd-client";
import { allowedEnvironment, type Runtime, type RuntimeContainer } from "./runtime.ts";

export interface ContainerdRuntimeOptions extends ContainerdOptions {
  readonly environmentPrefixes: readonly string[];
  /** Whether the user wrote the socket, and so expects containerd to be there. */
  readonly isExpected: boolean;
}

/** containerd, through its API on a socket: container/containerd/handler.go. */
export class ContainerdRuntime implements Runtime {
  readonly name = "containerd";
  readonly #options: ContainerdRuntimeOptions;
  readonly #client: ContainerdClient;
  #isThere = false;
  problem: string | undefined;

  constructor(options: ContainerdRuntimeOptions) {
    this.#options = options;
    this.#client = new ContainerdClient(options);
  }

  async refresh(): Promise<void> {
    const { socket, isExpected } = this.#options;
    this.#isThere = existsSync(socket);
    if (this.#isThere || !isExpected) this.problem = undefined;
    else {
      this.problem = `there is no socket ${socket} of containerd, so that its containers have no name, image and labels: set containerd_host to its address; in a container mount the socket`;
    }
  }

  async lookUp(id: string, signal: AbortSignal): Promise<RuntimeContainer | undefined> {
    if (!this.#isThere) return undefined;
    try {
      const container = await this.#client.container(id, signal);
      // The control group is made before the process is.
      const pid = container === undefined ? undefined : await this.#client.processOf(id, signal);
      if (container === undefined || pid === undefined) return undefined;
      return {
        name: id,
        image: container.image,
        labels: container.labels,
        environment: allowedEnvironment(container.environment, this.#options.environmentPrefixes),
        pid,
        // The containers of a pod share the network of its sandbox.
        ownsNetwork: container.labels.get("io.cri-containerd.kind") === "sandbox",
        created: undefined,
        folders: [],
      };
    } catch (error) {
      if (!signal.aborted) {
        const { socket } = this.#options;
        this.problem = `containerd at ${socket} does not tell of its containers, so that new ones have no name, image and labels: ${errorText(error)}; the agent's user needs permission for the socket, which is root's`;
      }
      return undefined;
    }
  }

  isHealthy(): boolean {
    return false;
  }

  close(): void {
    this.#client.close();
  }
}
