import { type HeapProfiler, type Profiler, Session } from "node:inspector/promises";
import { gzipSync } from "node:zlib";
import { encodePprof, type Frame, type StackProfile } from "#formats/pprof";

const CPU_SAMPLING_US = 10_000;
const HEAP_SAMPLING_BYTES = 512 * 1024;

/** A gzipped pprof profile of the agent's CPU use over `ms`. */
export async function cpuProfile(ms: number, sleep: (ms: number) => Promise<void>): Promise<Uint8Array> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: CPU_SAMPLING_US });
    await session.post("Profiler.start");
    const startMs = Date.now();
    await sleep(ms);
    const { profile } = await session.post("Profiler.stop");
    return gzipSync(encodePprof(fromCpuProfile(profile, startMs)));
  } finally {
    session.disconnect();
  }
}

/** A gzipped pprof profile of what was allocated during `ms` and is still alive. */
export async function heapProfile(ms: number, sleep: (ms: number) => Promise<void>): Promise<Uint8Array> {
  const session = new Session();
  session.connect();
  try {
    const startMs = Date.now();
    await session.post("HeapProfiler.startSampling", { samplingInterval: HEAP_SAMPLING_BYTES });
    await sleep(ms);
    const { profile } = await session.post("HeapProfiler.stopSampling");
    return gzipSync(encodePprof(fromHeapProfile(profile, startMs, ms)));
  } finally {
    session.disconnect();
  }
}

function fromCpuProfile(profile: Profiler.Profile, startMs: number): StackProfile {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node.id);
  const totals = new Map<number, { count: number; us: number }>();
  for (const [i, id] of (profile.samples ?? []).entries()) {
    const total = totals.get(id) ?? { count: 0, us: 0 };
    total.count += 1;
    total.us += Math.max(0, profile.timeDeltas?.[i] ?? 0);
    totals.set(id, total);
  }
  const samples = [];
  for (const [id, { count, us }] of totals) {
    const stack: Frame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const { callFrame } = nodes.get(at)!;
      if (callFrame.functionName === "(idle)") break;
      if (callFrame.functionName !== "(root)") stack.push(frameOf(callFrame));
    }
    if (stack.length > 0) samples.push({ stack, values: [count, us * 1000] });
  }
  return {
    sampleTypes: [
      ["samples", "count"],
      ["cpu", "nanoseconds"],
    ],
    samples,
    periodType: ["cpu", "nanoseconds"],
    period: CPU_SAMPLING_US * 1000,
    startMs,
    durationMs: (profile.endTime - profile.startTime) / 1000,
  };
}

function fromHeapProfile(profile: HeapProfiler.SamplingHeapProfile, startMs: number, durationMs: number): StackProfile {
  const samples: { stack: readonly Frame[]; values: readonly number[] }[] = [];
  const walk = (node: HeapProfiler.SamplingHeapProfileNode, above: readonly Frame[]) => {
    const stack = node.callFrame.functionName === "(root)" ? above : [frameOf(node.callFrame), ...above];
    if (node.selfSize > 0) {
      samples.push({ stack, values: [Math.max(1, Math.round(node.selfSize / HEAP_SAMPLING_BYTES)), node.selfSize] });
    }
    for (const child of node.children) walk(child, stack);
  };
  walk(profile.head, []);
  return {
    sampleTypes: [
      ["inuse_objects", "count"],
      ["inuse_space", "bytes"],
    ],
    samples,
    periodType: ["space", "bytes"],
    period: HEAP_SAMPLING_BYTES,
    startMs,
    durationMs,
  };
}

function frameOf(frame: { functionName: string; url: string; lineNumber: number }): Frame {
  return { name: frame.functionName || "(anonymous)", file: frame.url, line: frame.lineNumber + 1 };
}
