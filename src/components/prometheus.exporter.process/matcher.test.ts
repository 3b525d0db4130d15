import assert from "node:assert/strict";
import { test } from "node:test";
import { compileRegex } from "#base/regex";
import { compileMatchers, type MatcherArguments } from "./matcher.ts";
import type { Identity } from "./process-files.ts";

const NOTHING: MatcherArguments = { name: "{{.ExeBase}}", comm: undefined, exe: undefined, cmdline: undefined };

function nameOf(matchers: readonly Partial<MatcherArguments>[], identity: Partial<Identity> = {}): string | undefined {
  const namer = compileMatchers(matchers.map((matcher) => ({ ...NOTHING, ...matcher })));
  return namer({
    pid: 42,
    userName: () => "www-data",
    identity: {
      command: "nginx",
      arguments: ["/usr/sbin/nginx", "-g", "daemon off;"],
      controlGroups: ["/system.slice/nginx.service"],
      parent: 1,
      started: Date.UTC(2026, 0, 2, 3, 4, 5),
      userId: 33,
      ...identity,
    },
  });
}

test("all that a matcher names has to match, any of its names does", () => {
  assert.equal(nameOf([{ comm: ["apache2", "nginx"] }]), "nginx");
  assert.equal(nameOf([{ comm: ["apache2"] }]), undefined);
  assert.equal(nameOf([{ comm: [] }]), undefined);
  assert.equal(nameOf([{ comm: ["nginx"], cmdline: [compileRegex("daemon on")] }]), undefined);
  assert.equal(nameOf([{ comm: ["nginx"], cmdline: [compileRegex("daemon"), compileRegex("off;$")] }]), "nginx");
});

test("programs are named with their path or without it", () => {
  assert.equal(nameOf([{ exe: ["nginx"] }]), "nginx");
  assert.equal(nameOf([{ exe: ["/usr/sbin/nginx"] }]), "nginx");
  assert.equal(nameOf([{ exe: ["/opt/nginx"] }]), undefined);
  assert.equal(nameOf([{ exe: ["nginx"] }], { arguments: [] }), undefined);
});

test("the first matcher that matches names the group", () => {
  const matchers = [
    { comm: ["other"], name: "first" },
    { comm: ["nginx"], name: "second" },
    { comm: ["nginx"], name: "third" },
  ];
  assert.equal(nameOf(matchers), "second");
});

test("names are templates over the process", () => {
  const name = (template: string, identity: Partial<Identity> = {}) =>
    nameOf([{ comm: ["nginx"], name: template }], identity);
  assert.equal(name("{{.Comm}} {{.ExeBase}} {{.ExeFull}}"), "nginx nginx /usr/sbin/nginx");
  assert.equal(name("{{.Username}}/{{.PID}}"), "www-data/42");
  assert.equal(name("{{.StartTime}}"), "2026-01-02 03:04:05 +0000 UTC");
  assert.equal(name("{{index .Cgroups 0}}"), "/system.slice/nginx.service");
  assert.equal(name("{{.ExeBase}} {{.ExeFull}}", { arguments: [] }), "nginx nginx");
  assert.equal(name("{{.ExeBase}}", { arguments: ["/"] }), "/");
  assert.equal(name("{{.ExeBase}}", { arguments: [""] }), ".");
});

test("named groups of the expressions are in .Matches, without those of the process before", () => {
  const cmdline = [compileRegex("-(?P<flag>[a-z])(?: (?P<daemon>daemon) (?P<mode>on)?)?")];
  const name = "{{.Matches.flag}}:{{.Matches.daemon}}:{{.Matches.mode}}";
  assert.equal(nameOf([{ cmdline, name }]), "g:daemon:");
  assert.equal(nameOf([{ cmdline, name }], { arguments: ["x", "-y"] }), "y::");
});
