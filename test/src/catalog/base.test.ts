import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  ARCHITECTURES,
  agrees,
  basesOfSeries,
  compareBases,
  expandAny,
  isConcrete,
  nearestSystem,
  normalBase,
  parseSystem,
  preferredBase,
  suitsSystem,
  uniqueBases,
} from "../../../src/catalog/base.ts";
import { base } from "../../build.ts";

test("a base is compared without its risk and in lower case", () => {
  expect(normalBase(base("amd64", "22.04/stable", "Ubuntu"))).toEqual(base("amd64", "22.04"));
});

test.each([
  [base("amd64", "NA", "NA"), false],
  [base("amd64", "NA"), false],
  [base("amd64", "", ""), false],
  [base("amd64", "24.04"), true],
])("%j is concrete: %p", (asked, concrete) => {
  expect(isConcrete(asked)).toBe(concrete);
});

test.each([
  [base("amd64", "NA", "NA"), true],
  [base("amd64", "22.04"), true],
  [base("amd64", "22.04", "UBUNTU"), true],
  [base("arm64", "NA", "NA"), false],
  [base("amd64", "24.04"), false],
  [base("amd64", "22.04", "centos"), false],
])("ubuntu@22.04 on amd64 agrees with %j: %p", (asked, fits) => {
  expect(agrees(base("amd64", "22.04"), asked)).toBe(fits);
});

test.each([
  ["Juju/2.9.52", "20.04"],
  ["Juju/3.1.8", "22.04"],
  ["Juju/3.5.0", "22.04"],
  ["Juju/3.6.28", "24.04"],
  ["Juju/3.10.1", "24.04"],
  ["Juju/4.1-beta2", "24.04"],
  ["Go-http-client/1.1", "24.04"],
  ["", "24.04"],
])("the LTS that %s prefers is %s", (agent, channel) => {
  expect(preferredBase(agent)).toBe(channel);
});

describe("the best base leads", () => {
  const channels = ["16.04", "23.10", "26.04", "20.04", "24.04", "22.04", "25.10"];
  test.each([
    ["24.04", ["24.04", "22.04", "20.04", "26.04", "16.04", "25.10", "23.10"]],
    ["20.04", ["20.04", "24.04", "22.04", "26.04", "16.04", "25.10", "23.10"]],
  ])("for a client that prefers %s", (preferred, order) => {
    const sorted = channels.map((channel) => base("amd64", channel)).toSorted(compareBases(preferred));
    expect(sorted.map((b) => b.channel)).toEqual(order);
  });

  test("and amd64 before the others", () => {
    const sorted = [...ARCHITECTURES].toReversed().map((architecture) => base(architecture, "24.04"));
    expect(sorted.toSorted(compareBases("24.04")).map((b) => b.architecture)).toEqual([...ARCHITECTURES]);
  });
});

describe("`all` is never kept", () => {
  test("an architecture becomes those of the manifest", () => {
    const manifest = [base("amd64", "22.04"), base("arm64", "22.04"), base("arm64", "20.04")];
    expect(expandAny([base("all", "22.04")], manifest)).toEqual([base("amd64", "22.04"), base("arm64", "22.04")]);
  });

  test("a manifest that says `all` too means every architecture", () => {
    expect(expandAny([base("all", "22.04")], [base("all", "22.04")]).map((b) => b.architecture)).toEqual([...ARCHITECTURES]);
  });

  test("without a manifest every architecture, and every LTS for an unknown channel", () => {
    expect(expandAny([base("all", "20.04")], [])).toHaveLength(ARCHITECTURES.length);
    expect(expandAny([base("amd64", "all", "all")], []).map((b) => `${b.name}@${b.channel}`)).toEqual([
      "ubuntu@24.04",
      "ubuntu@22.04",
      "ubuntu@20.04",
    ]);
  });

  const text = fc.constantFrom("all", "ubuntu", "22.04", "amd64", "x");
  const anyBase = fc.record({ name: text, channel: text, architecture: text });
  test("whatever is declared", () => {
    fc.assert(
      fc.property(fc.array(anyBase), fc.array(anyBase), (bases, manifest) => {
        const expanded = expandAny(bases, manifest);
        for (const one of expanded) expect(Object.values(one)).not.toContain("all");
        expect(uniqueBases(expanded)).toEqual(expanded);
        expect(expanded.length > 0).toBe(bases.length > 0);
      }),
    );
  });
});

test.each([
  ["focal", "20.04"],
  ["jammy", "22.04"],
  ["kubernetes", "22.04"],
  ["trusty", "14.04"],
  ["mantic", "23.10"],
])("series %s is %s on every architecture", (series, channel) => {
  expect(basesOfSeries(series)).toEqual(ARCHITECTURES.map((architecture) => base(architecture, channel)));
});

test.each(["win2012", "", "constructor", "__proto__"])("series %j has no base", (series) => {
  expect(basesOfSeries(series)).toEqual([]);
});

describe("the nearest base", () => {
  const system = (text: string) => {
    const found = parseSystem(text);
    if (!found) throw new Error(`${text} is no base`);
    return found;
  };

  test.each<[string, string[], string | undefined]>([
    ["22.04", ["22.04", "24.04"], "22.04"],
    ["22.04", ["20.04", "26.04"], "20.04"],
    ["22.04", ["18.04", "24.04"], "24.04"],
    ["22.04", ["24.04", "20.04"], "20.04"], // as near: the older, which more versions of Juju know
    ["24.04", ["20.04", "22.04"], "22.04"],
    ["20.04", ["26.04", "24.04"], "24.04"],
    ["22.04", ["23.10", "16.04"], "16.04"], // an LTS, however far, before what is none
    ["22.04", ["23.10", "21.04"], "21.04"],
    ["22.04", ["centos@9", "23.10"], "23.10"],
    ["22.04", ["centos@9"], "centos@9"],
    ["22.04", [], undefined],
  ])("to %s of %j is %s", (wanted, offered, nearest) => {
    expect(nearestSystem(offered.map(system), system(wanted))).toEqual(nearest === undefined ? undefined : system(nearest));
    expect(nearestSystem(offered.toReversed().map(system), system(wanted))).toEqual(nearest === undefined ? undefined : system(nearest));
  });
});

test.each<[string, string | undefined]>([
  ["ubuntu@24.04", "ubuntu@24.04"],
  ["ubuntu@24.04/stable", "ubuntu@24.04"],
  ["24.04", "ubuntu@24.04"],
  ["noble", "ubuntu@24.04"],
  ["kubernetes", "ubuntu@22.04"],
  ["centos@9", "centos@9"],
  ["Ubuntu@24.04", undefined],
  ["ubuntu", undefined],
  ["ubuntu@noble", undefined],
  ["24.04 amd64", undefined],
  ["", undefined],
])("%j means %s", (text, meant) => {
  const found = parseSystem(text);
  expect(found && `${found.name}@${found.channel}`).toBe(meant);
});

test.each<[string, string, boolean]>([
  ["ubuntu@24.04", "ubuntu@24.04", true],
  ["ubuntu@24.04", "ubuntu@22.04", false],
  ["ubuntu@all", "ubuntu@22.04", true],
  ["all@all", "centos@9", true],
  ["centos@9", "ubuntu@9", false],
])("a row for %s suits %s: %s", (row, wanted, suits) => {
  const [one = "", two = "", three = "", four = ""] = `${row}@${wanted}`.split("@");
  expect(suitsSystem({ name: one, channel: two }, { name: three, channel: four })).toBe(suits);
});
