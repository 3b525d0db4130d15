import { OtlpRecord } from "#formats/otlp/record";
import { encodeRequest } from "#formats/otlp/walk";
import { NoTargets } from "#kits/no-targets";
import { attempt, outputsOf, withParts } from "#kits/otelcol/processor";
import { inputExports, outputSchema } from "#kits/otelcol/schema";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { ASSOCIATIONS, OPERATIONS, PodLabels } from "./pod-labels.ts";

const args = s
  .object({
    targets: s.targets().doc("Targets whose labels are set on the resources of spans, by the host in `__address__`."),
    operation_type: s
      .oneOf(OPERATIONS)
      .default("upsert")
      .doc("Whether attributes are added (`insert`), changed (`update`) or both (`upsert`)."),
    pod_associations: s
      .list(s.oneOf(ASSOCIATIONS))
      .default(ASSOCIATIONS)
      .doc(
        "Where the address is looked for, in order: attributes of the resource, `hostname` for `host.name` if it is an address, `connection` for the client's.",
      ),
    output: s.block(outputSchema).required().doc("Where the data goes; only traces are processed."),
  })
  .suspect((a) => {
    const other = (["metrics", "logs"] as const).find((kind) => a.output[kind].length > 0);
    if (other === undefined) return [];
    return [
      {
        field: `output.${other}`,
        message: "gets its data as it came: only traces are processed",
        hint: "send it around this component",
      },
    ];
  });
type Arguments = Infer<typeof args>;

export default defineComponent({
  name: "otelcol.processor.discovery",
  stability: "generally-available",
  summary: "Sets labels of discovered targets, such as pods, on the resources of traces that come from them.",
  example: `otelcol.processor.discovery "default" {
  targets = [{
    __address__ = "10.0.0.7:8080",
    namespace   = "shop",
    pod         = "cart-7d9f",
  }]

  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,

  start(ctx, first) {
    const outputs = outputsOf(ctx, first.output);
    const noTargets = new NoTargets(ctx);
    let targets = first.targets;
    let labels = build(first);
    noTargets.update(targets.length);

    function build(given: Arguments): PodLabels {
      return new PodLabels({
        targets: given.targets,
        associations: given.pod_associations,
        operation: given.operation_type,
      });
    }

    ctx.rule("no_targets", () => noTargets.judge());
    ctx.rule("targets_without_address", () => {
      const [example] = labels.unusable;
      if (example === undefined) return undefined;
      const cause = `${labels.unusable.length} of ${targets.length} targets are left out, since \`__address__\` is no host with or without a port, such as ${example}`;
      return { state: "degraded", cause };
    });
    ctx.rule("nothing_matches", () => nothingMatches(labels));

    const request = new OtlpRecord();
    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          if (batch.kind !== "traces" || labels.size === 0) return outputs[batch.kind].consume(batch, signal);
          const parts = attempt(() =>
            batch.parts.map((part) => {
              labels.edit(request.reset(part), batch.clientAddress);
              return encodeRequest(request, part);
            }),
          );
          const isSame = parts.every((part, i) => part === batch.parts[i]);
          return outputs.traces.consume(isSame ? batch : withParts(batch, parts, batch.items), signal);
        },
        { mutates: false },
      ),
    });
    return {
      update(next) {
        labels = build(next);
        targets = next.targets;
        noTargets.update(targets.length);
        for (const kind of ["traces", "metrics", "logs"] as const) outputs[kind].set(next.output[kind]);
        ctx.flow.judge();
      },
    };
  },
});

/** Spans came, and none of a target. */
function nothingMatches({ size, matched, unknown, nameless }: PodLabels): Judgement {
  if (size === 0 || matched > 0) return undefined;
  const hint = "see `pod_associations`, and whether the targets are those that send";
  if (unknown !== undefined) {
    return { state: "degraded", cause: `no resource has met a target by its address, such as ${unknown}: ${hint}` };
  }
  if (nameless === 0) return undefined;
  return { state: "degraded", cause: `no resource of spans says an address to look for among the targets: ${hint}` };
}
