/**
 * Lines with secrets of many kinds, made up at run time: nothing in the repository looks like one to those who search it.
 */

export interface MadeUpSecret {
  readonly rule: string;
  readonly secret: string;
  readonly line: string;
}

const LOWER = "abcdefghijklmnopqrstuvwxyz";
const DIGITS = "0123456789";
const HEX = `${DIGITS}abcdef`;
const BASE36 = LOWER + DIGITS;
const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE62 = BASE36 + LOWER.toUpperCase();

/** The rule, what the secret begins with, and the lengths and alphabets of what follows. */
const KINDS: readonly (readonly [rule: string, ...parts: (string | readonly [length: number, alphabet: string])[]])[] =
  [
    ["aws-access-token", "AK", "IA", [16, BASE32]],
    ["github-pat", "gh", "p_", [36, BASE62]],
    ["github-oauth", "gh", "o_", [36, BASE62]],
    ["github-app-token", "gh", "s_", [36, BASE62]],
    ["github-refresh-token", "gh", "r_", [36, BASE62]],
    ["github-fine-grained-pat", "github", "_pat_", [82, BASE62]],
    ["gitlab-pat", "gl", "pat-", [20, BASE62]],
    ["gitlab-deploy-token", "gl", "dt-", [20, BASE62]],
    ["gitlab-feed-token", "gl", "ft-", [20, BASE62]],
    ["gitlab-oauth-app-secret", "glo", "as-", [64, BASE62]],
    ["gitlab-ptt", "gl", "ptt-", [40, HEX]],
    ["gcp-api-key", "AI", "za", [35, BASE62]],
    ["npm-access-token", "np", "m_", [36, BASE36]],
    ["slack-webhook-url", "https://hooks.", "slack.com/services/", [44, BASE62]],
    ["slack-bot-token", "xox", "b-", [12, DIGITS], "-", [12, DIGITS], [24, BASE62]],
    ["stripe-access-token", "sk", "_live_", [24, BASE62]],
    ["grafana-service-account-token", "gl", "sa_", [32, BASE62], "_", [8, HEX]],
    ["digitalocean-pat", "do", "p_v1_", [64, HEX]],
    ["digitalocean-access-token", "do", "o_v1_", [64, HEX]],
    ["databricks-api-token", "da", "pi", [32, HEX]],
    ["shopify-access-token", "shp", "at_", [32, HEX]],
    ["shopify-shared-secret", "shp", "ss_", [32, HEX]],
    ["linear-api-key", "lin", "_api_", [40, BASE36]],
    ["postman-api-token", "PM", "AK-", [24, HEX], "-", [34, HEX]],
    ["pulumi-api-token", "pu", "l-", [40, HEX]],
    ["rubygems-api-token", "ruby", "gems_", [48, HEX]],
    ["sentry-user-token", "sn", "tryu_", [64, HEX]],
    ["doppler-api-token", "dp", ".pt.", [43, BASE36]],
    ["dynatrace-api-token", "dt0", "c01.", [24, BASE36], ".", [64, BASE36]],
    ["huggingface-access-token", "h", "f_", [34, LOWER]],
    ["readme-api-token", "rd", "me_", [70, BASE36]],
    ["prefect-api-token", "pn", "u_", [36, BASE36]],
    ["age-secret-key", "AGE-SEC", "RET-KEY-1", [58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"]],
    ["easypost-api-token", "EZ", "AK", [54, BASE36]],
    ["frameio-api-token", "fi", "o-u-", [64, BASE36]],
    ["sendgrid-api-token", "S", "G.", [66, BASE36]],
  ];

/** One secret of each kind; other numbers give others. */
export function madeUpSecrets(seed: number): readonly MadeUpSecret[] {
  let state = seed * 2_654_435_761;
  // Low bits of such a generator are no good.
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return KINDS.map(([rule, ...parts]) => {
    const secret = parts
      .map((part) => {
        if (typeof part === "string") return part;
        const [length, alphabet] = part;
        return Array.from({ length }, () => alphabet[random(alphabet.length)]).join("");
      })
      .join("");
    return { rule, secret, line: `level=info msg="calling the other side" using ${secret} now` };
  });
}
