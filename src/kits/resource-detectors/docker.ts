import { join } from "node:path";
import { DockerEngine, DockerError } from "../docker-engine.ts";
import { clientDefaults } from "../http/client.ts";
import { type Detector, type DetectorContext, MetadataUnavailable } from "./detector.ts";

const DEFAULT_HOST = "unix:///var/run/docker.sock";
const ANSWER_MS = 5_000;

/** The host of the Docker Engine, found as Docker's own programs find it. Matches internal/docker. */
export function dockerDetector({ environment, userAgent }: DetectorContext): Detector {
  return {
    async detect(signal) {
      const engine = new DockerEngine({ ...engineOf(environment), userAgent, timeoutMs: ANSWER_MS });
      try {
        const { Name, OSType } = await engine.info(signal);
        return { attributes: { "host.name": Name, "os.type": OSType } };
      } catch (error) {
        if (error instanceof DockerError) throw new MetadataUnavailable(error.message, { cause: error });
        throw error;
      } finally {
        await engine.close();
      }
    },
  };
}

function engineOf(environment: NodeJS.ProcessEnv) {
  const host = environment.DOCKER_HOST || DEFAULT_HOST;
  const http = clientDefaults();
  const folder = environment.DOCKER_CERT_PATH;
  if (!folder || !host.startsWith("tcp://")) return { host, http };
  const files = {
    ca_file: join(folder, "ca.pem"),
    cert_file: join(folder, "cert.pem"),
    key_file: join(folder, "key.pem"),
  };
  const insecure_skip_verify = !environment.DOCKER_TLS_VERIFY;
  return {
    host: host.replace(/^tcp:/, "https:"),
    http: { ...http, tls_config: { ...http.tls_config, ...files, insecure_skip_verify } },
  };
}
