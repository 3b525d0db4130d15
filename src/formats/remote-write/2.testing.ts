import protobuf from "protobufjs";

/** The message of remote write 2.0, with doubles as their bits where stale markers may be. */
const { root } = protobuf.parse(`syntax = "proto3"; package v2;
  message Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
  message TimeSeries { repeated uint32 labels_refs = 1; repeated Sample samples = 2; repeated Histogram histograms = 3;
    repeated Exemplar exemplars = 4; Metadata metadata = 5; }
  message Exemplar { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
  message Sample { fixed64 value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
  message Metadata { int32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
  message BucketSpan { sint32 offset = 1; uint32 length = 2; }
  message Histogram { uint64 count_int = 1; double count_float = 2; fixed64 sum = 3; sint32 schema = 4;
    double zero_threshold = 5; uint64 zero_count_int = 6; double zero_count_float = 7;
    repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9; repeated double negative_counts = 10;
    repeated BucketSpan positive_spans = 11; repeated sint64 positive_deltas = 12; repeated double positive_counts = 13;
    int32 reset_hint = 14; int64 timestamp = 15; repeated double custom_values = 16; int64 start_timestamp = 17; }`);
const oracle = root.lookupType("v2.Request");

/** What protobufjs reads from a request: numbers of 64 bits as text, lists and defaults always there. */
// biome-ignore lint/suspicious/noExplicitAny: whatever the message holds
export function decodeRequest2(bytes: Uint8Array): any {
  return oracle.toObject(oracle.decode(bytes), { longs: String, arrays: true, defaults: true });
}

export function encodeRequest2(message: object): Uint8Array {
  return oracle.encode(oracle.fromObject(message)).finish();
}
