/** The `output` block of components that hand on one signal only. */
import { s } from "#lang/schema";

const used = (what: string) => s.list(s.consumer("otlp")).default([]).doc(`Where ${what} go.`);
const unused = (what: string, made: string) =>
  s
    .list(s.consumer("otlp"))
    .default([])
    .doc(`Gets nothing: the component makes ${made} only.`)
    .withoutEffect(`the component hands on ${made} only, and never ${what}`);

export const logsOutputSchema = s.object({
  metrics: unused("metrics", "logs"),
  logs: used("logs"),
  traces: unused("traces", "logs"),
});

export const metricsOutputSchema = s.object({
  metrics: used("metrics"),
  logs: unused("logs", "metrics"),
  traces: unused("traces", "metrics"),
});
