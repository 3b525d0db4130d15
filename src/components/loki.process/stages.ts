import { type Infer, s } from "#lang/schema";
import type { NestedStages } from "./pipeline.ts";
import type { Stage, StageContext } from "./stage.ts";
import { buildCri, criBody } from "./stages/cri.ts";
import { buildDecolorize, decolorizeBody } from "./stages/decolorize.ts";
import { buildDocker, dockerBody } from "./stages/docker.ts";
import { buildDrop, dropBody } from "./stages/drop.ts";
import { buildEventLogMessage, eventLogMessageBody } from "./stages/event-log-message.ts";
import { buildGeoIp, geoIpBody } from "./stages/geoip.ts";
import { buildJson, jsonBody } from "./stages/json.ts";
import { buildLabelDrop, buildLabelKeep, labelDropBody, labelKeepBody } from "./stages/label-drop.ts";
import { buildLabels, labelsBody } from "./stages/labels.ts";
import { buildLimit, limitBody } from "./stages/limit.ts";
import { buildLogfmt, logfmtBody } from "./stages/logfmt.ts";
import { buildLuhn, luhnBody } from "./stages/luhn.ts";
import { buildMatch, type MatchArguments, matchBody } from "./stages/match.ts";
import { buildMetrics, metricsBody } from "./stages/metrics.ts";
import { buildMultiline, multilineBody } from "./stages/multiline.ts";
import { buildOutput, outputBody } from "./stages/output.ts";
import { buildPack, packBody } from "./stages/pack.ts";
import { buildPattern, patternBody } from "./stages/pattern.ts";
import { buildRegex, regexBody } from "./stages/regex.ts";
import { buildReplace, replaceBody } from "./stages/replace.ts";
import { buildSampling, samplingBody } from "./stages/sampling.ts";
import { buildSplitJson, splitJsonBody } from "./stages/split-json.ts";
import { buildStaticLabels, staticLabelsBody } from "./stages/static-labels.ts";
import {
  buildStructuredMetadata,
  buildStructuredMetadataDrop,
  structuredMetadataBody,
  structuredMetadataDropBody,
} from "./stages/structured-metadata.ts";
import { buildTemplate, templateBody } from "./stages/template.ts";
import { buildTenant, tenantBody } from "./stages/tenant.ts";
import { buildTimestamp, timestampBody } from "./stages/timestamp.ts";
import { buildTruncate, truncateBody } from "./stages/truncate.ts";
import { buildWindowsEvent, windowsEventBody } from "./stages/windows-event.ts";

/** The bodies of all stages, by the name behind `stage.`. */
export const stageBodies = {
  cri: criBody,
  decolorize: decolorizeBody,
  docker: dockerBody,
  drop: dropBody,
  eventlogmessage: eventLogMessageBody,
  geoip: geoIpBody,
  json: jsonBody,
  label_keep: labelKeepBody,
  label_drop: labelDropBody,
  labels: labelsBody,
  limit: limitBody,
  logfmt: logfmtBody,
  luhn: luhnBody,
  match: matchBody,
  metrics: metricsBody,
  multiline: multilineBody,
  output: outputBody,
  pack: packBody,
  pattern: patternBody,
  regex: regexBody,
  replace: replaceBody,
  split_json: splitJsonBody,
  static_labels: staticLabelsBody,
  structured_metadata: structuredMetadataBody,
  structured_metadata_drop: structuredMetadataDropBody,
  sampling: samplingBody,
  template: templateBody,
  tenant: tenantBody,
  truncate: truncateBody,
  timestamp: timestampBody,
  windowsevent: windowsEventBody,
} as const;

type Bodies = typeof stageBodies;

/** One `stage.KIND {}` of a configuration. */
export type StageConfig = {
  [K in keyof Bodies]: {
    readonly kind: K;
    readonly args: K extends "match" ? MatchArguments : Infer<Bodies[K]>;
  };
}[keyof Bodies];

/** Makes a stage; `nested` makes the stages inside of a match. */
export function buildStage(
  config: StageConfig,
  context: StageContext,
  nested: (stages: readonly StageConfig[]) => NestedStages,
): Stage {
  switch (config.kind) {
    case "cri":
      return buildCri(config.args, context);
    case "decolorize":
      return buildDecolorize();
    case "docker":
      return buildDocker(config.args, context);
    case "drop":
      return buildDrop(config.args, context);
    case "eventlogmessage":
      return buildEventLogMessage(config.args, context);
    case "geoip":
      return buildGeoIp(config.args, context);
    case "json":
      return buildJson(config.args, context);
    case "label_keep":
      return buildLabelKeep(config.args);
    case "label_drop":
      return buildLabelDrop(config.args);
    case "labels":
      return buildLabels(config.args, context);
    case "limit":
      return buildLimit(config.args, context);
    case "logfmt":
      return buildLogfmt(config.args, context);
    case "luhn":
      return buildLuhn(config.args, context);
    case "match":
      return buildMatch(config.args, context, nested);
    case "metrics":
      return buildMetrics(config.args, context);
    case "multiline":
      return buildMultiline(config.args, context);
    case "output":
      return buildOutput(config.args, context);
    case "pack":
      return buildPack(config.args, context);
    case "pattern":
      return buildPattern(config.args, context);
    case "regex":
      return buildRegex(config.args, context);
    case "replace":
      return buildReplace(config.args, context);
    case "split_json":
      return buildSplitJson(config.args, context);
    case "static_labels":
      return buildStaticLabels(config.args);
    case "structured_metadata":
      return buildStructuredMetadata(config.args, context);
    case "structured_metadata_drop":
      return buildStructuredMetadataDrop(config.args);
    case "sampling":
      return buildSampling(config.args, context);
    case "template":
      return buildTemplate(config.args, context);
    case "tenant":
      return buildTenant(config.args, context);
    case "truncate":
      return buildTruncate(config.args, context);
    case "timestamp":
      return buildTimestamp(config.args, context);
    case "windowsevent":
      return buildWindowsEvent(config.args, context);
  }
}

/** The `stage.*` blocks of a body. */
export const stageField = s.enumBlocks(stageBodies);
