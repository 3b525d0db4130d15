/** Numbers of the fields of model.proto of jaeger-idl, for those who write its messages. */
export const JAEGER_SPAN = {
  traceId: 1,
  spanId: 2,
  operationName: 3,
  references: 4,
  flags: 5,
  startTime: 6,
  duration: 7,
  tags: 8,
  logs: 9,
  process: 10,
} as const;
export const JAEGER_REFERENCE = { traceId: 1, spanId: 2, type: 3 } as const;
export const JAEGER_LOG = { timestamp: 1, fields: 2 } as const;
export const JAEGER_PROCESS = { serviceName: 1, tags: 2 } as const;
export const JAEGER_KEY_VALUE = { key: 1, type: 2, string: 3, bool: 4, int: 5, double: 6, binary: 7 } as const;
/** Timestamp and Duration of google.protobuf. */
export const JAEGER_TIME = { seconds: 1, nanos: 2 } as const;
