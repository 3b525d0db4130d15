import { defineComponent } from "#pipeline/component";
import { schema } from "./arguments.ts";
import { KafkaSource } from "./kafka-source.ts";

export default defineComponent({
  name: "loki.source.kafka",
  stability: "generally-available",
  summary: "Reads messages from Kafka as a member of a consumer group.",
  example: `loki.source.kafka "example" {
  brokers    = ["kafka.example.com:9092"]
  topics     = ["logs", "^app-.*"]
  labels     = { job = "kafka" }
  forward_to = []
}`,
  args: schema,

  start(ctx, args) {
    const source = new KafkaSource(ctx, args);
    ctx.run((signal) => source.run(signal));
    return {
      update: (next) => source.update(next),
      drain: (deadline) => source.drain(deadline),
      debugInfo: () => source.debugInfo(),
    };
  },
});
