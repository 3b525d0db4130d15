import { systemClock } from "#base/clock";
import { createLogger } from "#base/log";
import { MetricRegistry } from "#base/metrics";
import { renderDiagnostics } from "#lang/render";
import { standardScope } from "#lang/stdlib";
import type { Stability } from "#pipeline/component";
import { SeriesRegistry } from "#pipeline/series";
import { Controller } from "#runtime/controller";
import { readConfiguration } from "../agent.ts";
import { withoutUserInfo } from "../api/redact.ts";
import { type Command, EXIT, wantsColor } from "../cli.ts";
import { host } from "../host.ts";
import { registry } from "../registry.ts";
import { FEATURE_FLAGS, FORMAT_FLAGS } from "../run-flags.ts";
import { VERSION } from "../version.ts";

/**
 * Goes as far as a load goes before anything runs: parses, resolves, evaluates, and builds each component without
 * letting its background work begin. Problems and warnings go to standard error.
 */
export const validate: Command = {
  usage: "invar validate [flags] path",
  summary: "Check a configuration without running it",
  flags: [...FORMAT_FLAGS, ...FEATURE_FLAGS],
  positional: [1, 1],

  async run(line, terminal) {
    const { sources, folder } = readConfiguration(line.positional[0]!);
    const controller = new Controller({
      clock: systemClock,
      log: createLogger({
        enabled: (level) => level === "warn",
        write: ({ message, fields }) => {
          const at = fields.find(([key]) => key === "component_id" || key === "node")?.[1];
          terminal.error(`Warning: ${at === undefined ? "" : `${at}: `}${withoutUserInfo(message)}\n`);
        },
      }),
      services: {
        metrics: new MetricRegistry(),
        series: new SeriesRegistry(),
        httpAddress: "127.0.0.1:12345",
        memoryAddress: "alloy.internal:12345",
        minimumStability: line.flags.get("stability.level") as Stability,
        version: VERSION,
        fetchLocal: async () => ({ status: 503, body: "nothing runs during a check" }),
      },
      registry,
      blocks: new Map(),
      storagePath: "data-alloy",
      standardScope: standardScope(host),
      communityComponents: line.flags.get("feature.community-components.enabled") === true,
    });
    const problems = await controller.check(sources, folder);
    if (problems.length === 0) return EXIT.ok;
    terminal.error(renderDiagnostics(problems, { color: wantsColor() }));
    return problems.some((each) => each.severity === "error") ? EXIT.failed : EXIT.ok;
  },
};
