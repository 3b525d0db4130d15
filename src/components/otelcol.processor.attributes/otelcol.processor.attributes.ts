import { DATA, dataField, LOG, POINT, pointKindOf, SPAN } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import { editingInput, KINDS, outputsOf, type RequestEdit } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { actionFaults, actionSchema, compileActions } from "#kits/otlp/attribute-actions";
import { AttributeProgram } from "#kits/otlp/attribute-program";
import { ItemSelection, matchBlocks, withMatchRules } from "#kits/otlp/match";
import { type Infer, s } from "#lang/schema";
import type { OtlpClient } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

const baseArgs = s.object({
  ...matchBlocks,
  action: s.blocks(actionSchema).doc("Actions on the attributes of spans, log records and data points, run in order."),
  output: s.block(outputSchema).required().doc("Where the data goes."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});
type Arguments = Infer<typeof baseArgs>;

/** The signals that go on from here: only for these must `include` and `exclude` fit. */
const signalsOf = (a: Arguments) => KINDS.filter((kind) => a.output[kind].length > 0);

const args = withMatchRules(baseArgs, signalsOf).refuse((a) => actionFaults(a.action));

export default defineComponent({
  name: "otelcol.processor.attributes",
  stability: "generally-available",
  summary: "Sets, removes, hashes, extracts and converts attributes of spans, log records and metric data points.",
  example: `otelcol.processor.attributes "default" {
  action {
    key    = "deployment.environment"
    value  = "production"
    action = "insert"
  }
  action {
    key    = "enduser.id"
    action = "hash"
  }

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
    const edit = placeEdit(first.action);
    const edits: Partial<Record<(typeof KINDS)[number], RequestEdit>> = {};
    if (first.action.length > 0) {
      for (const kind of signalsOf(first)) {
        const selection = new ItemSelection(kind, first.include, first.exclude);
        edits[kind] = kind === "metrics" ? pointEdit(selection, edit) : itemEdit(selection, SPAN_OR_LOG[kind], edit);
      }
    }
    ctx.export({ input: editingInput(ctx, outputsOf(ctx, first.output), edits) });
  },
});

const SPAN_OR_LOG = { traces: SPAN.attributes, logs: LOG.attributes } as const;

/** Actions on the attributes of one message of a list: on its bytes where that is possible. */
type PlaceEdit = (items: RecordList, k: number, field: number, client: OtlpClient) => void;

function placeEdit(actions: Arguments["action"]): PlaceEdit {
  const lent = new OtlpRecord();
  const edit = compileActions(actions);
  const generally: PlaceEdit = (items, k, field, client) => {
    const item = items.borrow(k, lent);
    edit(item.map(field), client);
    items.giveBack(k, item);
  };
  const program = AttributeProgram.compile(actions);
  if (program === undefined) return generally;
  return (items, k, field, client) => {
    let isDone = false;
    items.rewrite(k, (bytes, start, end, out) => {
      const isChanged = program.edit(bytes, start, end, field, client, out);
      isDone = isChanged !== undefined;
      return isChanged === true;
    });
    if (!isDone) generally(items, k, field, client);
  };
}

function itemEdit(selection: ItemSelection, field: number, edit: PlaceEdit): RequestEdit {
  const lent = new OtlpRecord();
  return (request, client) => {
    selection.eachPlace(request, lent, (items, k) => edit(items, k, field, client));
  };
}

/** The attributes of all data points of the selected metrics. */
function pointEdit(selection: ItemSelection, edit: PlaceEdit): RequestEdit {
  const lent = new OtlpRecord();
  return (request, client) => {
    selection.each(request, lent, (metric) => {
      const data = dataField(metric);
      if (data === 0) return;
      const field = POINT.attributes[pointKindOf(data)];
      const points = metric.record(data).list(DATA.points);
      for (let k = 0; k < points.length; k++) edit(points, k, field, client);
    });
  };
}
