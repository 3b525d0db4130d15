import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "./crc32c.ts";
import { fnv1a32, fnv1a64, murmur3, murmur3x128, xxh3, xxh64, xxh128 } from "./hashes.ts";

const hex = (value: bigint, bytes: number) => value.toString(16).padStart(bytes * 2, "0");
/** Of 64-bit halves, each written from its highest byte. */
const swapped = (text: string) =>
  text.replace(/.{1,16}/g, (half) => Buffer.from(half, "hex").reverse().toString("hex"));

function all(bytes: Buffer) {
  return [
    hex(BigInt(fnv1a32(bytes) >>> 0), 4),
    hex(fnv1a64(bytes), 8),
    swapped(murmur3(bytes)),
    swapped(murmur3x128(bytes)),
    hex(xxh64(bytes), 8),
    hex(xxh3(bytes), 8),
    hex(xxh128(bytes), 16),
  ];
}

/**
 * What hash/fnv, spaolacci/murmur3 v1.1.0, cespare/xxhash v2.3.0 and zeebo/xxh3 v1.1.0 make of so many bytes: 3, 10, 17 …
 * Each length on either side of where an algorithm goes another way is there.
 */
const BY_LENGTH: readonly (readonly [length: number, ...hashes: string[]])[] = [
  [
    0,
    "811c9dc5",
    "cbf29ce484222325",
    "00000000",
    "00000000000000000000000000000000",
    "ef46db3751d8e999",
    "2d06800538d394c2",
    "99aa06d3014798d86001c324468d497f",
  ],
  [
    1,
    "060c5eb2",
    "af63be4c8601b992",
    "5e2a8076",
    "726ac6dd306a3e594e711127c5b5a8e4",
    "1f25c8d0bc1f4bb6",
    "13e608bc156defed",
    "22bbb76b211a39ba13e608bc156defed",
  ],
  [
    3,
    "7ea6a43b",
    "e20b021871089e3b",
    "c6669d12",
    "6e3febcaf3b53dcee5bb83e375ffb688",
    "31d2363f52e564c9",
    "a9088dda485b481c",
    "ce31763cbf8245a5a9088dda485b481c",
  ],
  [
    4,
    "83546319",
    "2152b28811a4b579",
    "8f009319",
    "0e29ed82ded0aa06adb20c1802c28885",
    "9bb64b7d66ee9fda",
    "6d9253b16c8b1ed3",
    "47197970590746b1788a609154b0fe20",
  ],
  [
    7,
    "470f98c3",
    "9c6063da7c6cae43",
    "2085f52d",
    "becbbf54236ce3a12b3ba492e39cef50",
    "9a7b149959ce60d8",
    "8e8291ad89127e2e",
    "a051eefb8df8740e7af1e487627dd4bc",
  ],
  [
    8,
    "d48dccd5",
    "247823416cac7435",
    "f4eca721",
    "a5ee2a9a9132d3bd259e7f3a617e003a",
    "dab99d95c6f90092",
    "60539db630471163",
    "e3bc8a5f461715553cd024e3d63a1588",
  ],
  [
    9,
    "89399aaa",
    "a497f62ba90933ca",
    "9d3d0834",
    "51ba2ea10afadbb61f8153c3131e0496",
    "170bb6bf975b4c02",
    "feff668361d723a8",
    "c72c88247a9a56d7eafab1c7f123109f",
  ],
  [
    15,
    "d82006ab",
    "621ab2742f78f4ab",
    "5d11695b",
    "ba6a4b5e80ade4f4e00e5a8ff7e8f26d",
    "1b47cb8243cc8e32",
    "9ec169f4a98231c1",
    "68f75783c1d1a650c30b29715d7282a3",
  ],
  [
    16,
    "016aab45",
    "2c52026caa87ee25",
    "83f5e942",
    "c4b099c52f8f4ea17d670219d92afe48",
    "434850232b787be2",
    "b8c859b0f030b585",
    "ce0b9647ab24f88460d75c5e47d40a24",
  ],
  [
    17,
    "70eb8602",
    "d74874a5c4f9fc22",
    "fac750ea",
    "d4ae4b39fe53b1276602453b6681dbe9",
    "1efa7025f1b97a7a",
    "714a04408e79b80f",
    "bfd327edcc2fbd12eeed7654312a26d7",
  ],
  [
    31,
    "4d39bf5b",
    "f095b4a795d4441b",
    "635a6c99",
    "9d91fedff00436fb7ea851ba737ebfd0",
    "a2aa5f33cc4a6119",
    "ed41ac283d0674b3",
    "670ee2d79d2552f8262deca043341a5b",
  ],
  [
    32,
    "18e88185",
    "a2a6bfc397b0de25",
    "657b1bf3",
    "65bdb8dd080643ffbec31b8aa5f3910a",
    "23c3c17ef790fd97",
    "19ff4ee1d6ba1a55",
    "4f130f27ab6baf45d761fd22e8ad5262",
  ],
  [
    33,
    "9c03b392",
    "12369f5ac18a8a72",
    "93c16fea",
    "b16757d8c4f72f1a9171ee56072d60a6",
    "50a7cfc7ba588784",
    "3e44983ad21679c8",
    "d15b272993d9830f4193c535612ac940",
  ],
  [
    63,
    "73b806fb",
    "f76870a08a75fcfb",
    "e35b5995",
    "c36295303b7a43a3e81d2f98cd7a916c",
    "5e3e54b431c7493c",
    "1353bea3d0ebf7e1",
    "3fe3bc9cdc4ca070e9070987ed88500a",
  ],
  [
    64,
    "71b1e1c5",
    "dc73a7cb467baca5",
    "9e0f07b9",
    "f50f13e7205dfca3a5cf4256c64ec87c",
    "0eb64b3ef6eeb01f",
    "287eb1fa9e4be2c1",
    "fed953fe6a8b2b63aa549d72c69cd267",
  ],
  [
    65,
    "01053c72",
    "14328468c425f152",
    "a9f0e0b2",
    "47b62f90beb72aff77e2620dcb0ae1de",
    "a383b724b2bd12f1",
    "829218de4d798646",
    "9f5580903f79bec343622ea01271a860",
  ],
  [
    128,
    "8cce17c5",
    "3a16bcfa2ccdc525",
    "a3ecb4ca",
    "e1f3a199d560dd42c24da4d88537d7fe",
    "46fbcfbf0150793f",
    "67425a03650261bf",
    "1b1962a096bac78bc580008b6c92ac53",
  ],
  [
    129,
    "ee6ea332",
    "8268c31a21a6d912",
    "273fe1ba",
    "8d9713ed0f368019445da5eac7e1e356",
    "3eb5d118151c8303",
    "c664bf3311c6abc4",
    "293e4968c4619023bd91ce7ace4d385b",
  ],
  [
    240,
    "e6d4c185",
    "f75c607f508b7aa5",
    "7f88c5fc",
    "a38c4f27d6e5b5d019f49762e38967a1",
    "42562f61ef11b5ae",
    "64556dc6b462a6cf",
    "ad46c1021b076bc704e0b5f034bee80b",
  ],
  [
    241,
    "76ebf5a2",
    "dd722e55dd00a9c2",
    "d93b4052",
    "8b27276e9aab90aedb6da9d4978c0e2b",
    "07cf94f8eba111b5",
    "8beadd3a8874fe17",
    "ac6c3492c3d6b45d8beadd3a8874fe17",
  ],
  [
    255,
    "74d7d4bb",
    "e84d08b3f6a8d13b",
    "3d979c33",
    "8ef15364d673d2b091db853f0bb9d4d9",
    "39ae55a29989206f",
    "b67b6637a76e6c39",
    "d054b43eb9c37cd3b67b6637a76e6c39",
  ],
  [
    1024,
    "9586d5c5",
    "22881ee47abb6b25",
    "60d32ec1",
    "e8f8da944ae88d5e03cae9386af7d5fc",
    "e6816a6e134b7a33",
    "9b81661c641c72b1",
    "18bc0eaca9a336369b81661c641c72b1",
  ],
  [
    1025,
    "294286b2",
    "68b7a43c8c771192",
    "fcdf3ba6",
    "107831e0db5fda6cfb87e362e1e4cfe9",
    "6385e21250a735ca",
    "806c2072ed713576",
    "bf447251cfa98d7c806c2072ed713576",
  ],
  [
    1088,
    "371419c5",
    "421c3e6d2c5cf4a5",
    "97a7dc5d",
    "8ba2e1a1536dcad35d1341e28f033432",
    "c929d33415f04c2e",
    "2f8781e01841f0da",
    "3d034f977992699d2f8781e01841f0da",
  ],
  [
    5000,
    "e89740d5",
    "f3d143a06e234335",
    "f9f31a67",
    "093cd274f3264d6e7496d939a139894a",
    "9a8d831c04aa8b1d",
    "799aaddd7339581d",
    "c98ae385d09887cc799aaddd7339581d",
  ],
];

test("bytes of any length have the hashes that others give them", () => {
  for (const [length, ...expected] of BY_LENGTH) {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 7 + 3) & 255));
    assert.deepEqual(all(bytes), expected, String(length));
  }
});

test("published vectors", () => {
  const bytes = (text: string) => Buffer.from(text);
  assert.equal(fnv1a32(bytes("foobar")) >>> 0, 0xbf9cf968);
  assert.equal(fnv1a32(bytes("bar"), fnv1a32(bytes("foo"))), fnv1a32(bytes("foobar")), "in two pieces");
  assert.equal(fnv1a64(bytes("foobar")), 0x85944171f73967e8n);
  assert.equal(swapped(murmur3(bytes("hello, world"))), "149bbb7f");
  assert.equal(swapped(murmur3x128(bytes("hello, world"))), "342fac623a5ebc8e4cdcbc079642414d");
  assert.equal(xxh64(bytes("abc")), 0x44bc2cf5ad770999n);
  assert.equal(xxh3(bytes("abc")), 0x78af5f94892f3950n);
  assert.equal(xxh128(bytes("abc")), 0x06b05ab6733a618578af5f94892f3950n);
  assert.equal(crc32c(bytes("123456789")), 0xe3069283);
  assert.equal(crc32c(bytes("--123456789--"), 2, 11), 0xe3069283);
});
