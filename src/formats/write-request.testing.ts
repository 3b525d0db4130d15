/**
 * For tests only: remote write requests of both versions made by protobufjs, independent of the codecs here.
 */
import protobuf from "protobufjs";
import { compress } from "./snappy.ts";

const HISTOGRAM = `message BucketSpan { sint32 offset = 1; uint32 length = 2; }
  message Histogram { oneof count { uint64 count_int = 1; double count_float = 2; } double sum = 3; sint32 schema = 4;
    double zero_threshold = 5; oneof zero { uint64 zero_count_int = 6; double zero_count_float = 7; }
    repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9; repeated double negative_counts = 10;
    repeated BucketSpan positive_spans = 11; repeated sint64 positive_deltas = 12; repeated double positive_counts = 13;
    int32 reset_hint = 14; int64 timestamp = 15; repeated double custom_values = 16; int64 start_timestamp = 17; }`;

const { root: root1 } = protobuf.parse(`syntax = "proto3"; package prometheus;
  message Label { string name = 1; string value = 2; }
  message Sample { double value = 1; int64 timestamp = 2; }
  message Exemplar { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }
  ${HISTOGRAM}
  message TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; repeated Exemplar exemplars = 3;
    repeated Histogram histograms = 4; }
  message MetricMetadata { int32 type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }
  message WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }`);
const { root: root2 } = protobuf.parse(`syntax = "proto3"; package writev2;
  message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
  message Exemplar { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
  ${HISTOGRAM}
  message Metadata { int32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
  message TimeSeries { repeated uint32 labels_refs = 1; repeated Sample samples = 2; repeated Histogram histograms = 3;
    repeated Exemplar exemplars = 4; Metadata metadata = 5; }
  message Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }`);
const writeRequest = root1.lookupType("prometheus.WriteRequest");
const request2 = root2.lookupType("writev2.Request");

export interface TestSeries {
  /** In this order, repetitions and all. */
  readonly labels: readonly (readonly [string, string])[];
  readonly samples?: readonly { readonly value: number; readonly timestamp: number }[];
  /** In protobufjs's names: `countInt`, `positiveSpans` … */
  readonly histograms?: readonly object[];
  readonly exemplars?: readonly {
    readonly labels: readonly (readonly [string, string])[];
    readonly value: number;
    readonly timestamp: number;
  }[];
  /** Of 2.0; `type` by number. */
  readonly metadata?: { readonly type: number; readonly help: string; readonly unit: string };
}

export function encodeWrite1(series: readonly TestSeries[], metadata: readonly object[] = []): Uint8Array {
  const named = (labels: TestSeries["labels"]) => labels.map(([name, value]) => ({ name, value }));
  const timeseries = series.map(({ labels, samples, histograms, exemplars }) => ({
    labels: named(labels),
    samples,
    histograms,
    exemplars: exemplars?.map((each) => ({ ...each, labels: named(each.labels) })),
  }));
  return writeRequest.encode(writeRequest.fromObject({ timeseries, metadata })).finish();
}

/** `change` may spoil the message before it is encoded. */
export function encodeWrite2(
  series: readonly TestSeries[],
  change: (message: {
    symbols: string[];
    timeseries: { labelsRefs: number[]; metadata?: object }[];
  }) => void = () => {},
): Uint8Array {
  const symbols = [""];
  const symbol = (text: string) => {
    const known = symbols.indexOf(text);
    return known >= 0 ? known : symbols.push(text) - 1;
  };
  const refs = (labels: TestSeries["labels"]) => labels.flatMap(([name, value]) => [symbol(name), symbol(value)]);
  const timeseries = series.map(({ labels, samples, histograms, exemplars, metadata }) => ({
    labelsRefs: refs(labels),
    samples,
    histograms,
    exemplars: exemplars?.map((each) => ({ ...each, labelsRefs: refs(each.labels) })),
    ...(metadata && {
      metadata: { type: metadata.type, helpRef: symbol(metadata.help), unitRef: symbol(metadata.unit) },
    }),
  }));
  const message = { symbols, timeseries };
  change(message);
  return request2.encode(request2.fromObject(message)).finish();
}

/** Sends a request to a receiver, compressed. */
export function postWrite(
  url: string,
  message: Uint8Array,
  version: 1 | 2,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const proto = version === 2 ? ";proto=io.prometheus.write.v2.Request" : "";
  return fetch(url, {
    method: "POST",
    body: Buffer.from(compress(message)),
    headers: { "content-type": `application/x-protobuf${proto}`, "content-encoding": "snappy", ...headers },
  });
}
