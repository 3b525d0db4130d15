import type { FieldValue } from "#formats/json-fields";

interface Named {
  readonly names?: { readonly en?: string };
  readonly iso_code?: string;
}

/** What MaxMind's databases say of an address; each part may be missing. */
export interface GeoRecord {
  readonly city?: Named;
  readonly country?: Named;
  readonly continent?: Named & { readonly code?: string };
  readonly postal?: { readonly code?: string };
  readonly location?: { readonly latitude?: number; readonly longitude?: number; readonly time_zone?: string };
  readonly subdivisions?: readonly Named[];
  readonly autonomous_system_number?: number;
  readonly autonomous_system_organization?: string;
}

/** The values that Alloy's stages/geoip.go extracts, under its names. What is missing, empty or 0 is left out. */
export function geoFields(type: "city" | "asn" | "country", record: GeoRecord): [name: string, value: FieldValue][] {
  const fields: [string, FieldValue][] = [];
  const add = (name: string, value: FieldValue | undefined) => {
    if (value) fields.push([`geoip_${name}`, value]);
  };
  if (type === "asn") {
    add("autonomous_system_number", record.autonomous_system_number);
    add("autonomous_system_organization", record.autonomous_system_organization);
    return fields;
  }
  add("country_name", record.country?.names?.en);
  add("country_code", record.country?.iso_code);
  add("continent_name", record.continent?.names?.en);
  add("continent_code", record.continent?.code);
  if (type === "country") return fields;
  add("city_name", record.city?.names?.en);
  add("postal_code", record.postal?.code);
  add("timezone", record.location?.time_zone);
  const { latitude = 0, longitude = 0 } = record.location ?? {};
  if (latitude !== 0 || longitude !== 0) {
    fields.push(["geoip_location_latitude", latitude], ["geoip_location_longitude", longitude]);
  }
  // The last one is the most specific.
  const subdivision = record.subdivisions?.at(-1);
  add("subdivision_name", subdivision?.names?.en);
  add("subdivision_code", subdivision?.iso_code);
  return fields;
}
