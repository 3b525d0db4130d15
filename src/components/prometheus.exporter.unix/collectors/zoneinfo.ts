import { counter, gauge, type Metric, memoize } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readText, words } from "../files.ts";

const pages = (name: string, help: string) => gauge(`node_zoneinfo_${name}`, help, "node", "zone");
const total = (name: string, help: string) => counter(`node_zoneinfo_${name}_total`, help, "node", "zone");

/** Fields of /proc/zoneinfo by their first word. */
const FIELDS: ReadonlyMap<string, Metric> = new Map([
  ["nr_free_pages", pages("nr_free_pages", "Total number of free pages in the zone")],
  ["min", pages("min_pages", "Zone watermark pages_min")],
  ["low", pages("low_pages", "Zone watermark pages_low")],
  ["high", pages("high_pages", "Zone watermark pages_high")],
  ["scanned", pages("scanned_pages", "Pages scanned since last reclaim")],
  ["spanned", pages("spanned_pages", "Total pages spanned by the zone, including holes")],
  ["present", pages("present_pages", "Physical pages existing within the zone")],
  ["managed", pages("managed_pages", "Present pages managed by the buddy system")],
  ["nr_active_anon", pages("nr_active_anon_pages", "Number of anonymous pages recently more used")],
  ["nr_inactive_anon", pages("nr_inactive_anon_pages", "Number of anonymous pages recently less used")],
  ["nr_isolated_anon", pages("nr_isolated_anon_pages", "Temporary isolated pages from anon lru")],
  ["nr_anon_pages", pages("nr_anon_pages", "Number of anonymous pages currently used by the system")],
  [
    "nr_anon_transparent_hugepages",
    pages("nr_anon_transparent_hugepages", "Number of anonymous transparent huge pages currently used by the system"),
  ],
  ["nr_active_file", pages("nr_active_file_pages", "Number of active pages with file-backing")],
  ["nr_inactive_file", pages("nr_inactive_file_pages", "Number of inactive pages with file-backing")],
  ["nr_isolated_file", pages("nr_isolated_file_pages", "Temporary isolated pages from file lru")],
  ["nr_file_pages", pages("nr_file_pages", "Number of file pages")],
  ["nr_slab_reclaimable", pages("nr_slab_reclaimable_pages", "Number of reclaimable slab pages")],
  ["nr_slab_unreclaimable", pages("nr_slab_unreclaimable_pages", "Number of unreclaimable slab pages")],
  ["nr_mlock_stack", pages("nr_mlock_stack_pages", "mlock()ed pages found and moved off LRU")],
  ["nr_kernel_stack", pages("nr_kernel_stacks", "Number of kernel stacks")],
  ["nr_mapped", pages("nr_mapped_pages", "Number of mapped pages")],
  ["nr_dirty", pages("nr_dirty_pages", "Number of dirty pages")],
  ["nr_writeback", pages("nr_writeback_pages", "Number of writeback pages")],
  ["nr_unevictable", pages("nr_unevictable_pages", "Number of unevictable pages")],
  ["nr_shmem", pages("nr_shmem_pages", "Number of shmem pages (included tmpfs/GEM pages)")],
  ["nr_dirtied", total("nr_dirtied", "Page dirtyings since bootup")],
  ["nr_written", total("nr_written", "Page writings since bootup")],
  ["numa_hit", total("numa_hit", "Allocated in intended node")],
  ["numa_miss", total("numa_miss", "Allocated in non intended node")],
  ["numa_foreign", total("numa_foreign", "Was intended here, hit elsewhere")],
  ["numa_interleave", total("numa_interleave", "Interleaver preferred this zone")],
  ["numa_local", total("numa_local", "Allocation from local node")],
  ["numa_other", total("numa_other", "Allocation from other node")],
]);
const declareProtection = memoize((index) => pages(`protection_${index}`, `Protection array ${index}. field`));

export const zoneinfo: CollectorDefinition = {
  name: "zoneinfo",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        for (const block of readText(files.proc("zoneinfo"))
          .split(/^Node /m)
          .slice(1)) {
          const [header = "", ...lines] = block.split("\n");
          const [node = "", zone = ""] = /^(\d+), zone\s+(\S+)/.exec(header)?.slice(1) ?? [];
          // A name that is there twice (of the zone, and of a CPU's own lists) counts as the last one says.
          const values = new Map<Metric, number>();
          for (const line of lines) {
            const [name = "", ...fields] = words(line);
            const metric = FIELDS.get(name);
            if (metric !== undefined && fields[0] !== undefined) values.set(metric, parseNumber(fields[0]));
            if (name !== "protection:") continue;
            for (const [i, text] of fields.entries()) {
              values.set(declareProtection(String(i)), parseNumber(text.replace(/[(),]/g, "")));
            }
          }
          for (const [metric, value] of values) page.add(metric, value, node, zone);
        }
      },
    };
  },
};
