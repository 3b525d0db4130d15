import { counter, type Metric } from "#kits/exporter/page";

/** A counter of the kernel, as `perf_event_open` takes it (`linux/perf_event.h`). */
export interface PerfCounter {
  /** As configurations call it. */
  readonly name: string;
  readonly metric: Metric;
  readonly type: number;
  readonly config: bigint;
}

const PERF_TYPE_HARDWARE = 0;
const PERF_TYPE_SOFTWARE = 1;
const PERF_TYPE_HW_CACHE = 3;

const declare = (type: number) => (name: string, config: number, metric: string, help: string) => ({
  name,
  metric: counter(`node_perf_${metric}_total`, help, "cpu"),
  type,
  config: BigInt(config),
});
const hardware = declare(PERF_TYPE_HARDWARE);
const software = declare(PERF_TYPE_SOFTWARE);
const cache = declare(PERF_TYPE_HW_CACHE);

export const HARDWARE: readonly PerfCounter[] = [
  hardware("CpuCycles", 0, "cpucycles", "Number of CPU cycles (frequency scaled)"),
  hardware("CpuInstr", 1, "instructions", "Number of CPU instructions"),
  hardware("CacheRef", 2, "cache_refs", "Number of cache references (non frequency scaled)"),
  hardware("CacheMisses", 3, "cache_misses", "Number of cache misses"),
  hardware("BranchInstr", 4, "branch_instructions", "Number of CPU branch instructions"),
  hardware("BranchMisses", 5, "branch_misses", "Number of CPU branch misses"),
  hardware("StalledCyclesFrontend", 7, "stalled_cycles_frontend", "Number of stalled frontend CPU cycles"),
  hardware("StalledCyclesBackend", 8, "stalled_cycles_backend", "Number of stalled backend CPU cycles"),
  hardware("RefCpuCycles", 9, "ref_cpucycles", "Number of CPU cycles"),
];

export const SOFTWARE: readonly PerfCounter[] = [
  software("PageFault", 2, "page_faults", "Number of page faults"),
  software("ContextSwitch", 3, "context_switches", "Number of context switches"),
  software("CpuMigration", 4, "cpu_migrations", "Number of CPU process migrations"),
  software("MinorFault", 5, "minor_faults", "Number of minor page faults"),
  software("MajorFault", 6, "major_faults", "Number of major page faults"),
];

/** Which cache, whether it is written, and whether what was looked for was not there, as one number. */
const L1_DATA = 0;
const L1_INSTRUCTIONS = 1;
const LAST_LEVEL = 2;
const INSTRUCTION_TLB = 4;
const BRANCHES = 5;
const WRITE = 1 << 8;
const MISS = 1 << 16;

export const CACHE: readonly PerfCounter[] = [
  cache("L1DataReadHit", L1_DATA, "cache_l1d_read_hits", "Number L1 data cache read hits"),
  cache("L1DataReadMiss", L1_DATA | MISS, "cache_l1d_read_misses", "Number L1 data cache read misses"),
  cache("L1DataWriteHit", L1_DATA | WRITE, "cache_l1d_write_hits", "Number L1 data cache write hits"),
  cache(
    "L1InstrReadMiss",
    L1_INSTRUCTIONS | MISS,
    "cache_l1_instr_read_misses",
    "Number instruction L1 instruction read misses",
  ),
  cache("LLReadHit", LAST_LEVEL, "cache_ll_read_hits", "Number last level read hits"),
  cache("LLReadMiss", LAST_LEVEL | MISS, "cache_ll_read_misses", "Number last level read misses"),
  cache("LLWriteHit", LAST_LEVEL | WRITE, "cache_ll_write_hits", "Number last level write hits"),
  cache("LLWriteMiss", LAST_LEVEL | WRITE | MISS, "cache_ll_write_misses", "Number last level write misses"),
  cache("InstrTLBReadHit", INSTRUCTION_TLB, "cache_tlb_instr_read_hits", "Number instruction TLB read hits"),
  cache(
    "InstrTLBReadMiss",
    INSTRUCTION_TLB | MISS,
    "cache_tlb_instr_read_misses",
    "Number instruction TLB read misses",
  ),
  cache("BPUReadHit", BRANCHES, "cache_bpu_read_hits", "Number BPU read hits"),
  cache("BPUReadMiss", BRANCHES | MISS, "cache_bpu_read_misses", "Number BPU read misses"),
];
