import { DATA, EXEMPLAR, LOG, METRIC, POINT, SUM, TEMPORALITY } from "#formats/otlp/fields";
import { writeKeyValue } from "#formats/otlp/values";
import { ProtoWriter } from "#formats/protobuf";

/** Requests with logs and metrics as applications send them; spans are in `spans.ts`. */

const START = 1_763_640_000_000_000_000n;

function request(size: number, write: (out: ProtoWriter) => void): Uint8Array {
  const out = new ProtoWriter(size);
  const group = out.begin(1);
  const resource = out.begin(1);
  writeKeyValue(out, 1, "service.name", "checkout");
  writeKeyValue(out, 1, "host.name", "node-17");
  out.end(resource);
  const scoped = out.begin(2);
  const scope = out.begin(1);
  out.string(1, "bench");
  out.end(scope);
  write(out);
  out.end(scoped);
  out.end(group);
  return out.finish();
}

/** An export of `count` log records with a line of some 100 bytes and five attributes each, about 330 bytes a record. */
export function logsRequest(count: number): Uint8Array {
  return request(count * 400, (out) => {
    for (let i = 0; i < count; i++) {
      const record = out.begin(2);
      out.fixed64Big(LOG.time, START + BigInt(i));
      out.int32(LOG.severityNumber, 9);
      out.string(LOG.severityText, "INFO");
      const body = out.begin(LOG.body);
      out.string(
        1,
        `request ${i} from 10.1.2.${i % 250} for /api/v1/items/${i} answered with 200 after 12 ms and 3 queries`,
      );
      out.end(body);
      writeKeyValue(out, LOG.attributes, "http.request.method", "GET");
      writeKeyValue(out, LOG.attributes, "http.response.status_code", 200n);
      writeKeyValue(out, LOG.attributes, "k8s.pod.name", `checkout-${i % 30}-abcde`);
      writeKeyValue(out, LOG.attributes, "thread.id", BigInt(i % 64));
      writeKeyValue(out, LOG.attributes, "user.id", `u${i % 5000}`);
      out.fixed64Big(LOG.observedTime, START + BigInt(i));
      out.end(record);
    }
  });
}

/** What tells a request of metrics from others. */
export interface MetricsRequest {
  /** The number of its first series. */
  readonly first: number;
  /** Nanoseconds since 1970, of its first point. The next are each one later. */
  readonly time: bigint;
  readonly temporality: number;
}
const FIRST_METRICS: MetricsRequest = { first: 0, time: START, temporality: TEMPORALITY.cumulative };

/** An export of `count` sums of one point with five attributes and an exemplar each, about 280 bytes a point. */
export function metricsRequest(count: number, { first, time, temporality } = FIRST_METRICS): Uint8Array {
  return request(count * 350, (out) => {
    for (let i = first; i < first + count; i++) {
      const metric = out.begin(2);
      out.string(METRIC.name, `http.server.requests.${i % 50}`);
      out.string(METRIC.unit, "{request}");
      const sum = out.begin(SUM);
      const point = out.begin(DATA.points);
      out.fixed64Big(POINT.start, START);
      out.fixed64Big(POINT.time, time + BigInt(i - first));
      out.double(POINT.asDouble, i * 1.5);
      const exemplar = out.begin(POINT.exemplars.number);
      out.fixed64Big(EXEMPLAR.time, START + BigInt(i));
      out.double(EXEMPLAR.asDouble, 1);
      out.end(exemplar);
      writeKeyValue(out, POINT.attributes.number, "http.request.method", "GET");
      writeKeyValue(out, POINT.attributes.number, "http.response.status_code", 200n);
      writeKeyValue(out, POINT.attributes.number, "http.route", `/api/v1/items/${i % 100}`);
      writeKeyValue(out, POINT.attributes.number, "k8s.pod.name", `checkout-${i % 30}-abcde`);
      writeKeyValue(out, POINT.attributes.number, "shard", String(i));
      out.end(point);
      out.int32(DATA.temporality, temporality);
      out.bool(DATA.isMonotonic, true);
      out.end(sum);
      out.end(metric);
    }
  });
}
