import { type StatusJson, usePolled, webPath } from "../../agent.ts";
import { fullTime, useAgentNow } from "../../parts/age.tsx";
import { Source } from "../../parts/source.tsx";
import { State } from "../../parts/state.tsx";
import { Link } from "../../router.tsx";
import { durationText } from "../../text.ts";
import { ProcessSection } from "./process-section.tsx";
import { ReloadSection } from "./reload-section.tsx";

/** The agent itself: what it runs, how the last reload went, whom it works with, what it needs. */
export function SystemView({ status }: { readonly status: StatusJson | undefined }) {
  const now = useAgentNow(status);
  if (status === undefined) return null; // what is wrong stands above all views
  return (
    <div class="system">
      <h1>System</h1>
      <ReloadSection status={status} now={now} />
      <div class="system-columns">
        <AgentSection status={status} now={now} />
        <LiveDebugging isOn={status.liveDebugging} />
        <Cluster />
        <RemoteConfiguration status={status} />
      </div>
      <ProcessSection />
    </div>
  );
}

function AgentSection({ status, now }: { readonly status: StatusJson; readonly now: number }) {
  const { version, ready, started, config, components, worst } = status;
  return (
    <section class="panel" aria-labelledby="agent">
      <h2 id="agent">Agent</h2>
      <dl class="values">
        <div>
          <dt>Version</dt>
          <dd>{version}</dd>
        </div>
        <div>
          <dt>Ready</dt>
          <dd>{ready ? "yes" : "no: no configuration is in force, or it is stopping"}</dd>
        </div>
        <div>
          <dt>Running for</dt>
          <dd>
            <time dateTime={started} title={fullTime(started)}>
              {durationText(Math.max(0, Math.floor((now - Date.parse(started)) / 1000) * 1000))}
            </time>
          </dd>
        </div>
        <div>
          <dt>Components</dt>
          <dd>
            <Link to="components">{components.length}</Link>, at worst <State state={worst} />
          </dd>
        </div>
        <div>
          <dt>Configuration</dt>
          <dd class="mono">{config.path}</dd>
        </div>
        <div>
          <dt>SHA-256 of its text</dt>
          <dd class="mono hash">{config.hash}</dd>
        </div>
      </dl>
      <p class="system-links">
        <a href="/metrics">Metrics</a>
        <a href="/-/support" download>
          Support bundle
        </a>
        <a href="/debug/pprof/">Profiles</a>
      </p>
      <p class="quiet">The support bundle takes half a minute: it holds logs, metrics and profiles of that time.</p>
    </section>
  );
}

function LiveDebugging({ isOn }: { readonly isOn: boolean }) {
  return (
    <section class="panel" aria-labelledby="live-debugging">
      <h2 id="live-debugging">Live debugging is {isOn ? "on" : "off"}</h2>
      {isOn ? (
        <p>
          Whoever can open this page can watch the data that flow: <Link to="live">Live</Link>. It costs next to nothing
          while nobody looks.
        </p>
      ) : (
        <>
          <p>To watch the data that flow, write this into the configuration and reload:</p>
          <Source
            text={"livedebugging {\n\tenabled = true\n}"}
            firstLine={1}
            references={[]}
            label="Configuration that turns live debugging on"
          />
        </>
      )}
    </section>
  );
}

/** A member of the cluster in `GET peers`, as in Alloy. */
interface PeerJson {
  readonly name: string;
  readonly addr: string;
  readonly isSelf: boolean;
  readonly state: string;
}

function Cluster() {
  const { value: peers, error } = usePolled<readonly PeerJson[]>(webPath("peers"), 10_000);
  return (
    <section class="panel" aria-labelledby="cluster">
      <h2 id="cluster">Cluster</h2>
      {peers === undefined ? (
        <p class="quiet">{error?.message ?? ""}</p>
      ) : peers.length === 0 ? (
        <p>
          This agent is not part of a cluster: it does all of its work itself, and components with a{" "}
          <code>clustering</code> block share their targets with nobody.
        </p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Address</th>
              <th scope="col">State</th>
            </tr>
          </thead>
          <tbody>
            {peers.map(({ name, addr, isSelf, state }) => (
              <tr key={name}>
                <th scope="row">
                  {name} {isSelf && <span class="quiet">this agent</span>}
                </th>
                <td class="mono">{addr}</td>
                <td>{state}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** Ids of what a remote configuration brings begin so, as in Alloy. */
const REMOTE = "remotecfg/";

function RemoteConfiguration({ status }: { readonly status: StatusJson }) {
  const remote = status.components.filter(({ id }) => id.startsWith(REMOTE)).length;
  return (
    <section class="panel" aria-labelledby="remote">
      <h2 id="remote">Remote configuration</h2>
      {remote === 0 ? (
        <p>Not configured: all that runs comes from the files of this machine.</p>
      ) : (
        <p>{remote} components come from the remote configuration.</p>
      )}
    </section>
  );
}
