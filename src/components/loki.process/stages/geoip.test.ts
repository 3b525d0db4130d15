import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { runStages, startStages } from "../pipeline-testing.ts";
import { type MaxMindValue, maxMindDatabase } from "./geoip-database.testing.ts";

const CITY = {
  city: { names: { en: "Boxford", de: "Box" } },
  continent: { code: "EU", names: { en: "Europe" } },
  country: { iso_code: "GB", names: { en: "United Kingdom" } },
  location: { latitude: 51.75, longitude: -1.25, time_zone: "Europe/London", accuracy_radius: 100 },
  postal: { code: "OX1" },
  subdivisions: [
    { iso_code: "ENG", names: { en: "England" } },
    { iso_code: "WBK", names: { en: "West Berkshire" } },
  ],
};

function database(t: TestContext, type: string, networks: Readonly<Record<string, MaxMindValue>>): string {
  const folder = mkdtempSync(join(tmpdir(), "geoip-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const path = join(folder, "test.mmdb");
  writeFileSync(path, maxMindDatabase(type, networks));
  return path;
}

function config(db: string, rest: string, labels: readonly string[]): string {
  const values = labels.map((each) => `${each} = ""`).join(", ");
  return `stage.regex {\n expression = "ip=(?P<ip>\\\\S+)"\n}\nstage.geoip {\n db = "${db}"\n source = "ip"\n ${rest}\n}\nstage.labels {\n values = { ${values} }\n}`;
}

test("city", async (t) => {
  const db = database(t, "GeoLite2-City", { "81.2.69.0/24": CITY });
  const labels = ["city_name", "country_name", "country_code", "continent_name", "continent_code", "postal_code"];
  labels.push("location_latitude", "location_longitude", "timezone", "subdivision_name", "subdivision_code");
  const stages = config(
    db,
    'db_type = "city"',
    labels.map((each) => `geoip_${each}`),
  );
  assert.deepEqual(await runStages(stages, ["ip=81.2.69.142", "ip=10.0.0.1", "ip=none", "ip=81.2.69.142"]), [
    `${'{geoip_city_name="Boxford", geoip_continent_code="EU", geoip_continent_name="Europe", geoip_country_code="GB", geoip_country_name="United Kingdom", geoip_location_latitude="51.75", geoip_location_longitude="-1.25", geoip_postal_code="OX1", geoip_subdivision_code="WBK", geoip_subdivision_name="West Berkshire", geoip_timezone="Europe/London"}'} ip=81.2.69.142`,
    "{} ip=10.0.0.1",
    "{} ip=none",
    `${'{geoip_city_name="Boxford", geoip_continent_code="EU", geoip_continent_name="Europe", geoip_country_code="GB", geoip_country_name="United Kingdom", geoip_location_latitude="51.75", geoip_location_longitude="-1.25", geoip_postal_code="OX1", geoip_subdivision_code="WBK", geoip_subdivision_name="West Berkshire", geoip_timezone="Europe/London"}'} ip=81.2.69.142`,
  ]);
});

test("asn, country, and lookups of one's own", async (t) => {
  const asn = database(t, "GeoLite2-ASN", {
    "1.128.0.0/11": { autonomous_system_number: 1221, autonomous_system_organization: "Telstra Pty Ltd" },
  });
  const names = ["geoip_autonomous_system_number", "geoip_autonomous_system_organization"];
  assert.deepEqual(await runStages(config(asn, 'db_type = "asn"', names), ["ip=1.129.0.1"]), [
    '{geoip_autonomous_system_number="1221", geoip_autonomous_system_organization="Telstra Pty Ltd"} ip=1.129.0.1',
  ]);
  const city = database(t, "GeoLite2-City", { "81.2.69.0/24": CITY });
  assert.deepEqual(
    await runStages(config(city, 'db_type = "country"', ["geoip_country_code", "geoip_city_name"]), ["ip=81.2.69.1"]),
    ['{geoip_country_code="GB"} ip=81.2.69.1'],
  );
  const lookups =
    'custom_lookups = { de = "city.names.de", postal = "", none = "a.b", first = "subdivisions[0].iso_code" }';
  assert.deepEqual(await runStages(config(city, lookups, ["de", "postal", "none", "first"]), ["ip=81.2.69.1"]), [
    '{de="Box", first="ENG", postal="{\\"code\\":\\"OX1\\"}"} ip=81.2.69.1',
  ]);
});

test("addresses that are none are counted, those that are not in the database are not", async (t) => {
  const db = database(t, "GeoLite2-City", { "81.2.69.0/24": CITY });
  await using run = await startStages(config(db, 'db_type = "city"', ["geoip_city_name"]));
  await run.send(["ip=1.2.3", "ip=fe80::1%eth0", "ip=010.1.1.1", "ip=2001:db8::1", "ip=192.168.0.1"]);
  assert.equal(run.component.metric("loki_process_unmatched_lines_total", { stage: "1.geoip" }), 3);
  assert.equal(run.items.length, 5);
});

test("the database is read again when it changes, and an unusable one is not", { timeout: 60_000 }, async (t) => {
  const db = database(t, "GeoLite2-City", { "81.2.69.0/24": CITY });
  await using run = await startStages(config(db, 'db_type = "city"', ["geoip_city_name"]));
  const city = async () => {
    await run.send(["ip=81.2.69.1"]);
    return run.items.at(-1)!.labels;
  };
  const logged = async (text: RegExp) => {
    while (!run.component.logs.some(({ message }) => text.test(message)))
      await new Promise((done) => setTimeout(done, 20));
  };
  assert.equal(await city(), '{geoip_city_name="Boxford"}');
  const other = { ...CITY, city: { names: { en: "Oxford" } }, postal: { code: "OX12" } };
  writeFileSync(db, maxMindDatabase("GeoLite2-City", { "81.2.69.0/24": other }));
  await logged(/was read again/);
  assert.equal(await city(), '{geoip_city_name="Oxford"}');
  writeFileSync(db, "no database any more");
  await logged(/the earlier one stays in use/);
  assert.equal(await city(), '{geoip_city_name="Oxford"}');
});

test("bad configurations", async (t) => {
  const db = database(t, "GeoLite2-ASN", { "1.0.0.0/8": { autonomous_system_number: 1 } });
  const broken = `${db}.broken`;
  writeFileSync(broken, "text");
  for (const [rest, message] of [
    ['source = "ip"', /or `custom_lookups` is required/],
    ['source = ""\n db_type = "asn"', /`source` must not be empty/],
    ['source = "ip"\n db_type = "town"', /town/],
    ['source = "ip"\n db_type = "city"', /of the kind GeoLite2-ASN, which has no values for `db_type = "city"`/],
    ['source = "ip"\n custom_lookups = { a = "[" }', /could not compile the JMESPath/],
  ] as const) {
    await assert.rejects(runStages(`stage.geoip {\n db = "${db}"\n ${rest}\n}`, []), message);
  }
  for (const [path, message] of [
    ["/nonexistent/x.mmdb", /there is no such file; download it/],
    ["/tmp", /it is a folder/],
    [broken, /is no MaxMind database, or it is damaged/],
  ] as const) {
    await assert.rejects(runStages(`stage.geoip {\n db = "${path}"\n source = "ip"\n db_type = "asn"\n}`, []), message);
  }
});
