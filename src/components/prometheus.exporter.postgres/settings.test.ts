import assert from "node:assert/strict";
import { test } from "node:test";
import { Page } from "#kits/exporter/page";
import { addSettings } from "./settings.ts";

const COLUMNS = ["name", "setting", "unit", "vartype"].map((name) => ({ name, kind: "text" as const }));

test("settings become seconds, bytes or plain numbers, and odd ones are left out with a reason", () => {
  const page = new Page();
  const rows = [
    ["autovacuum", "on", "", "bool"],
    ["fsync", "off", "", "bool"],
    ["max_connections", "100", "", "integer"],
    ["deadlock_timeout", "1003", "ms", "integer"],
    ["checkpoint_timeout", "5", "min", "integer"],
    ["log_rotation_age", "2", "h", "integer"],
    ["archive_days", "2", "d", "integer"],
    ["shared_buffers", "16384", "8kB", "integer"],
    ["wal_segment_size", "16777216", "B", "integer"],
    ["min_wal_size", "80", "MB", "integer"],
    ["wal_size", "2", "16MB", "integer"],
    ["temp_file_limit", "-1", "kB", "integer"],
    ["rds.aurora-cost", "1.5", "", "real"],
    ["apg_critical_insights", "64kB", "", "integer"],
    ["odd.number", "many", "", "integer"],
    ["odd.unit", "1", "weeks", "integer"],
  ];
  const problems = addSettings(page, { columns: COLUMNS, rows }, "db:5432");
  const families = new Map(page.families().map((family) => [family.name, family]));
  const values = Object.fromEntries([...families].map(([name, { samples }]) => [name, samples[0]!.value]));
  assert.deepEqual(values, {
    pg_settings_apg_critical_insights: 64,
    pg_settings_archive_days_seconds: 172_800,
    pg_settings_autovacuum: 1,
    pg_settings_checkpoint_timeout_seconds: 300,
    pg_settings_deadlock_timeout_seconds: 1.003,
    pg_settings_fsync: 0,
    pg_settings_log_rotation_age_seconds: 7200,
    pg_settings_max_connections: 100,
    pg_settings_min_wal_size_bytes: 83_886_080,
    pg_settings_rds_aurora_cost: 1.5,
    pg_settings_shared_buffers_bytes: 134_217_728,
    pg_settings_temp_file_limit_bytes: -1,
    pg_settings_wal_segment_size_bytes: 16_777_216,
    pg_settings_wal_size_bytes: 33_554_432,
  });
  assert.deepEqual(problems, [
    "the setting odd.number is not a number",
    "the setting odd.unit has the unknown unit weeks",
  ]);
  const { help, samples } = families.get("pg_settings_deadlock_timeout_seconds")!;
  assert.equal(help, "Server Parameter: deadlock_timeout [Units converted to seconds.]");
  assert.deepEqual(samples[0]!.labels, ["server", "db:5432"]);
});
