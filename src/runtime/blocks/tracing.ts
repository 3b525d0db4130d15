import { type Infer, s } from "#lang/schema";

const jaegerRemoteSchema = s.object({
  url: s.string().default("http://127.0.0.1:5778/sampling").doc("Where the sampling strategy is asked for."),
  max_operations: s.int().default(256).doc("Operations with a sampling rate of their own."),
  refresh_interval: s.duration().default("1m").doc("Time between two requests for the strategy."),
});

/** `tracing { … }`: the agent's own traces. */
export const tracingSchema = s
  .object({
    sampling_fraction: s.float(0, 1).default(0.1).doc("The part of traces that is kept."),
    send_traceparent: s
      .bool()
      .default(false)
      .doc("Whether outgoing requests carry the trace's id.")
      .withoutEffect("requests of components are not traced"),
    write_to: s.list(s.consumer("otlp")).default([]).doc("Where the traces go."),
    sampler: s
      .block(
        s.object({
          jaeger_remote: s.block(jaegerRemoteSchema).doc("Sampling as a Jaeger agent says; **not supported** yet."),
        }),
      )
      .presentByDefault()
      .doc("Samplers beside the fraction."),
  })
  .rule(
    "sampler.jaeger_remote",
    (a) => a.sampler.jaeger_remote === undefined,
    "is not supported yet: use `sampling_fraction`",
  );

export type TracingArguments = Infer<typeof tracingSchema>;
