import { createHash, timingSafeEqual } from "node:crypto";
import { counter, histogram } from "#base/metrics";
import { FirehoseRequest } from "#formats/firehose";
import { JsonError } from "#formats/json-reader";
import { HttpError, type ServedRequest, type ServedResponse } from "#kits/http/server";
import { httpServerFields } from "#kits/http/server-schema";
import { InternalLabels, TENANT_LABEL } from "#kits/loki-push-labels";
import { contentEncoding } from "#kits/push/body";
import { PushServer, type PushVisit, pushServerMetrics } from "#kits/push/server";
import { PushStatus } from "#kits/push/status";
import { RELABEL_RULES_CAPSULE, type RelabelRule } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { labelsOfAttributes } from "./common-attributes.ts";
import { RecordForwarder } from "./records.ts";

const NAMESPACE = "loki_source_awsfirehose";
const PATH = "/awsfirehose/api/v1/push";
/** Firehose sends at most 64 MiB of records, of which base64 makes a third more. */
const MAX_BODY = 128 * 1024 * 1024;
/** Tenants that are told apart in metrics; clients may invent any number of them. */
const MAX_TENANTS = 100;

const schema = s.object({
  ...httpServerFields,
  forward_to: s.list(s.consumer("logs")).doc("Where entries go."),
  access_key: s.secret().default("").doc("Key that requests must have; none when empty."),
  relabel_rules: s
    .capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE)
    .optional()
    .doc(
      "Rules of a `loki.relabel`: they make labels of those that begin with `__aws_`, which are removed afterwards.",
    ),
  use_incoming_timestamp: s
    .bool()
    .default(false)
    .doc("Keep the times of CloudWatch's events and of requests, rather than the time of arrival."),
});

export default defineComponent({
  name: "loki.source.awsfirehose",
  stability: "generally-available",
  summary: "Receives log entries from Amazon Data Firehose over HTTP.",
  example: `loki.source.awsfirehose "default" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = 9999
  }
  forward_to = []
}`,
  args: schema,
  metrics: {
    ...pushServerMetrics(NAMESPACE, `${NAMESPACE}_entries_written`, "Total number of entries written."),
    requestErrors: counter(
      `${NAMESPACE}_request_errors`,
      "Number of errors while receiving AWS Firehose API requests",
      ["reason"],
    ),
    recordErrors: counter(`${NAMESPACE}_record_errors`, "Number of errors while decoding AWS Firehose records", [
      "reason",
    ]),
    records: counter(`${NAMESPACE}_records_received`, "Number of records received from AWS Firehose", ["type"]),
    batchSize: histogram(`${NAMESPACE}_batch_size`, "AWS Firehose received batch size in number of records"),
    invalidLabels: counter(
      `${NAMESPACE}_invalid_static_labels_errors`,
      "Number of errors while processing AWS Firehose static labels",
      ["reason", "tenant_id"],
    ),
  },

  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    let current = prepare(args);
    const tenants = new Set<string>();
    const status = new PushStatus(ctx, {
      path: PATH,
      address: () => server.address,
      labelHint:
        "set `relabel_rules` that make labels of the internal ones, or give the delivery stream parameters that begin with `lbl_`",
      unreadable: { rule: "records_unreadable", noun: "records" },
      rulesCannotDrop: true,
    });

    async function push(visit: PushVisit): Promise<ServedResponse> {
      const { accessKey, labels, useIncomingTime } = current;
      const { headers } = visit.request;
      if (
        accessKey !== undefined &&
        !timingSafeEqual(accessKey, hash(headers.get("x-amz-firehose-access-key") ?? ""))
      ) {
        throw new HttpError(
          401,
          "access key not provided or incorrect: set that of `access_key` in the delivery stream",
        );
      }
      const request = await read(visit);
      const tenant = headers.get("x-scope-orgid") ?? "";
      const common = ["__aws_firehose_request_id", headers.get("x-amz-firehose-request-id") ?? ""];
      common.push("__aws_firehose_source_arn", headers.get("x-amz-firehose-source-arn") ?? "");
      if (tenant !== "") common.push(TENANT_LABEL, tenant);
      const attributes = headers.get("x-amz-firehose-common-attributes") ?? "";
      common.push(
        ...labelsOfAttributes(attributes, (reason) => ctx.metrics.invalidLabels.labels(reason, known(tenant)).inc()),
      );
      ctx.metrics.batchSize.observe(request.count);
      const forwarder = new RecordForwarder(visit, {
        labels,
        common,
        useIncomingTime,
        now: Math.floor(ctx.clock.now()),
        events: {
          received: (type) => ctx.metrics.records.labels(type).inc(),
          forwarded: (unlabelled, ruledOut) => {
            status.unlabelled(unlabelled);
            status.ruledOut(ruledOut);
          },
        },
      });
      await forwarder.forward(request);
      // Firehose would send the whole request again and again for an error: what is wrong is counted, not refused.
      for (const [reason, { records, why }] of forwarder.dropped) {
        ctx.metrics.recordErrors.labels(reason).inc(records);
        status.unreadable(reason === "too-large" ? "record_too_large" : "bad_record", records, why);
      }
      return answer(200, "", visit.request, ctx.clock.now(), request.requestId);
    }

    async function read(visit: PushVisit): Promise<FirehoseRequest> {
      let content: Uint8Array;
      try {
        content = await visit.content(MAX_BODY);
      } catch (error) {
        if (error instanceof HttpError && contentEncoding(visit.request) !== "" && error.status !== 429) {
          ctx.metrics.requestErrors.labels("pre_read").inc();
        }
        throw error;
      }
      try {
        return new FirehoseRequest(content);
      } catch (error) {
        if (!(error instanceof JsonError)) throw error;
        ctx.metrics.requestErrors.labels("read_or_format").inc();
        throw new HttpError(400, `not a request of Firehose: ${error.message}`);
      }
    }

    function known(tenant: string): string {
      if (tenants.size < MAX_TENANTS) tenants.add(tenant);
      return tenants.has(tenant) ? tenant : "other";
    }

    const server = new PushServer(
      ctx,
      {
        metrics: ctx.metrics,
        out,
        routes: [
          {
            method: "POST",
            path: PATH,
            handle: push,
            refuse: (code, message, request) => answer(code, message, request, ctx.clock.now()),
          },
        ],
        memoryBytes: 2 * MAX_BODY,
        accepted: () => status.accepted(),
        refused: (path, code, error) => status.refused(path, code, error),
      },
      args,
    );

    return {
      async update(next) {
        const fresh = prepare(next);
        await server.update(next);
        current = fresh;
        out.set(next.forward_to);
      },
      drain: () => server.drain(),
      debugInfo: () => ({ listen_address: server.address }),
    };

    function prepare({ access_key, relabel_rules, use_incoming_timestamp }: typeof args) {
      const key = access_key.reveal();
      return {
        accessKey: key === "" ? undefined : hash(key),
        labels: new InternalLabels({ rules: relabel_rules, rulesOwnTenant: true }),
        useIncomingTime: use_incoming_timestamp,
      };
    }
  },
});

/** The answer as Firehose expects it; it takes one with another request id for a failure. The time is in milliseconds. */
function answer(status: number, message: string, { headers }: ServedRequest, now: number, bodyId = ""): ServedResponse {
  const requestId = headers.get("x-amz-firehose-request-id") ?? bodyId;
  const body = { requestId, timestamp: Math.floor(now), ...(message === "" ? {} : { errorMessage: message }) };
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/** Equal lengths for a comparison that takes the same time whatever is compared. */
function hash(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
