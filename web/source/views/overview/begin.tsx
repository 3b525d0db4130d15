import type { StatusJson } from "../../agent.ts";
import { Empty } from "../../parts/empty.tsx";

/** A pipeline that works everywhere and shows something within seconds. */
const FIRST_CONFIGURATION = `invar.viewer "local" { }

prometheus.exporter.unix "host" { }

prometheus.scrape "host" {
  targets         = prometheus.exporter.unix.host.targets
  scrape_interval = "10s"
  forward_to      = [prometheus.remote_write.viewer.receiver]
}

prometheus.remote_write "viewer" {
  endpoint {
    url = invar.viewer.local.prometheus_url + "/api/v1/write"
  }
}
`;

/** In place of everything else while the configuration has no components. */
export function Begin({ status }: { readonly status: StatusJson }) {
  return (
    <Empty title="This configuration has no components yet">
      <p>
        Write some into <code>{status.config.path}</code>. These collect this machine’s metrics and show them on this
        page:
      </p>
      <pre>{FIRST_CONFIGURATION}</pre>
      <p>
        Then reload: <code>curl -X POST {new URL("/-/reload", document.baseURI).href}</code>. The agent does so by
        itself when it runs with <code>--config.watch</code>.
      </p>
    </Empty>
  );
}
