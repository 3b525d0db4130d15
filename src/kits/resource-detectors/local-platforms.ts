import { join } from "node:path";
import { readIfThere } from "../proc-files.ts";
import { type Detector, type DetectorContext, JsonObject, MetadataUnavailable } from "./detector.ts";

/** Platforms that tell of themselves in environment variables or in files. */

/** Matches internal/aws/lambda. */
export function lambdaDetector({ environment }: DetectorContext): Detector {
  return {
    async detect() {
      const name = environment.AWS_LAMBDA_FUNCTION_NAME;
      if (!name) throw new MetadataUnavailable("lambda metadata unavailable: AWS_LAMBDA_FUNCTION_NAME is not set");
      const group = environment.AWS_LAMBDA_LOG_GROUP_NAME;
      const stream = environment.AWS_LAMBDA_LOG_STREAM_NAME;
      return {
        attributes: {
          "cloud.provider": "aws",
          "cloud.platform": "aws_lambda",
          "cloud.region": environment.AWS_REGION,
          "faas.name": name,
          "faas.version": environment.AWS_LAMBDA_FUNCTION_VERSION,
          "faas.instance": stream,
          "faas.max_memory": environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
          "aws.log.group.names": group === undefined ? undefined : [group],
          "aws.log.stream.names": stream === undefined ? undefined : [stream],
        },
      };
    },
  };
}

/** Matches internal/heroku. */
export function herokuDetector({ environment }: DetectorContext): Detector {
  return {
    async detect() {
      const { HEROKU_APP_ID: app, HEROKU_DYNO_ID: dyno } = environment;
      if (app === undefined && dyno === undefined) {
        throw new MetadataUnavailable("heroku metadata unavailable: neither HEROKU_APP_ID nor HEROKU_DYNO_ID is set");
      }
      return {
        attributes: {
          "cloud.provider": app === undefined ? undefined : "heroku",
          "heroku.app.id": app,
          "service.instance.id": dyno,
          "service.name": environment.HEROKU_APP_NAME,
          "service.version": environment.HEROKU_RELEASE_VERSION,
          "heroku.release.creation_timestamp": environment.HEROKU_RELEASE_CREATED_AT,
          "heroku.release.commit": environment.HEROKU_SLUG_COMMIT,
        },
      };
    },
  };
}

const BEANSTALK_FILE = "var/elasticbeanstalk/xray/environment.conf";

/** Matches internal/aws/elasticbeanstalk. */
export function elasticBeanstalkDetector({ root = "/" }: DetectorContext): Detector {
  return {
    async detect() {
      const text = readIfThere(join(root, BEANSTALK_FILE));
      if (text === undefined)
        throw new MetadataUnavailable(`elasticbeanstalk metadata unavailable: no /${BEANSTALK_FILE}`);
      const file = new JsonObject(JSON.parse(text));
      return {
        attributes: {
          "cloud.provider": "aws",
          "cloud.platform": "aws_elastic_beanstalk",
          "service.instance.id": file.text("deployment_id"),
          "deployment.environment": file.text("environment_name"),
          "service.version": file.text("version_label"),
        },
      };
    },
  };
}

const DYNATRACE_FILE = "var/lib/dynatrace/enrichment/dt_host_metadata.properties";
const DYNATRACE_PROPERTIES = ["dt.entity.host", "host.name", "dt.smartscape.host"];

/** What Dynatrace's OneAgent writes about the host. Matches internal/dynatrace. */
export function dynatraceDetector({ root = "/" }: DetectorContext): Detector {
  return {
    async detect() {
      const extras = new Map<string, string>();
      for (const line of (readIfThere(join(root, DYNATRACE_FILE)) ?? "").split("\n")) {
        const [, key = "", value = ""] = /^([^=]+)=(.*)$/.exec(line) ?? [];
        if (DYNATRACE_PROPERTIES.includes(key) && value !== "") extras.set(key, value.trim());
      }
      return { attributes: {}, extras, schemaUrl: "" };
    },
  };
}
