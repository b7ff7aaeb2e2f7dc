import { describe, expect, test } from "bun:test";
import type { Need } from "../../../src/catalog/need.ts";
import { type InstallableSnap, type NeedingCharm, neededSnaps, showNeed } from "../../../src/catalog/snapneeds.ts";

interface Revision {
  readonly revision: number;
  readonly on?: readonly string[];
  readonly base?: string;
  readonly type?: InstallableSnap["revisions"][number]["type"];
  readonly providers?: readonly string[];
}

/** `releases`: revision and architecture. */
function snap(name: string, revisions: readonly Revision[], releases: readonly (readonly [number, string])[] = []): InstallableSnap {
  return {
    name,
    revisions: revisions.map(({ revision, on = ["amd64"], base, type = "app", providers = [] }) => ({
      revision,
      type,
      providers,
      architectures: on,
      ...(base !== undefined && { base }),
    })),
    releases: releases.map(([revision, architecture]) => ({ revision, architecture })),
  };
}

function charm(name: string, ...snaps: readonly Omit<Need, "where">[]): NeedingCharm {
  return {
    name,
    revisions: [{ revision: 1, bases: [], snaps: snaps.map((one) => ({ ...one, where: "refresh_versions.toml" })) }],
    releases: [],
  };
}

/** `!core22 amd64: base of hello`, with the mark where it is certain; `+` where it is stored. */
function shown(packages: readonly NeedingCharm[], snaps: readonly InstallableSnap[]): string[] {
  return neededSnaps(packages, snaps).map(
    (one) => `${one.stored ? "+" : ""}${one.sure === "certain" ? "!" : ""}${showNeed(one)}: ${one.by.join(", ")}`,
  );
}

const EVERY = "every machine that installs a snap";

describe("what snaps need", () => {
  test.each<[string, readonly InstallableSnap[], string[]]>([
    ["an app without a base", [snap("a", [{ revision: 1 }])], ["!core amd64: base of a", `!snapd amd64: ${EVERY}`]],
    ["an app on a base", [snap("a", [{ revision: 1, base: "core22" }])], ["!core22 amd64: base of a", `!snapd amd64: ${EVERY}`]],
    ["one with no base at all", [snap("a", [{ revision: 1, base: "bare" }])], [`!snapd amd64: ${EVERY}`]],
    ["a base", [snap("core22", [{ revision: 1, type: "base" }])], []],
    [
      "content of others",
      [snap("a", [{ revision: 1, base: "bare", providers: ["themes", "codecs"] }])],
      ["!codecs amd64: default provider of a", `!snapd amd64: ${EVERY}`, "!themes amd64: default provider of a"],
    ],
    ["one for all architectures", [snap("a", [{ revision: 1, on: ["all"], base: "core22" }])], ["!core22: base of a", `!snapd: ${EVERY}`]],
    [
      "that, beside one for an architecture",
      [snap("a", [{ revision: 1, on: ["all"], base: "core22" }]), snap("b", [{ revision: 1, base: "core22" }])],
      ["!core22 amd64: base of b", `!snapd amd64: ${EVERY}`],
    ],
    [
      "what is released, not what is only kept",
      [
        snap(
          "a",
          [
            { revision: 3, base: "core24" },
            { revision: 2, base: "core22" },
            { revision: 1, base: "core20" },
          ],
          [[2, "amd64"]],
        ),
      ],
      ["!core22 amd64: base of a", `!snapd amd64: ${EVERY}`],
    ],
    [
      "all that is released, on its architectures",
      [
        snap(
          "a",
          [
            { revision: 3, base: "core24" },
            { revision: 2, base: "core22", on: ["arm64"] },
          ],
          [
            [3, "amd64"],
            [2, "arm64"],
          ],
        ),
      ],
      ["!core22 arm64: base of a", "!core24 amd64: base of a", `!snapd amd64: ${EVERY}`, `!snapd arm64: ${EVERY}`],
    ],
    [
      "what is stored on one architecture alone",
      [
        snap(
          "a",
          [
            { revision: 1, on: ["amd64"], base: "core22" },
            { revision: 2, on: ["arm64"], base: "core22" },
          ],
          [
            [1, "amd64"],
            [2, "arm64"],
          ],
        ),
        snap("core22", [{ revision: 9, type: "base" }]),
        snap("snapd", [{ revision: 9, type: "snapd", on: ["all"] }]),
      ],
      ["+!core22 amd64: base of a", "!core22 arm64: base of a", `+!snapd amd64: ${EVERY}`, `+!snapd arm64: ${EVERY}`],
    ],
  ])("%s", (_, snaps, needs) => {
    expect(shown([], snaps)).toEqual(needs);
  });
});

describe("what charms need", () => {
  test("a revision is itself alone, a name is any revision of that architecture", () => {
    const needer = charm(
      "c",
      { name: "x", revision: 69, architecture: "amd64", sure: "certain" },
      { name: "y", channel: "4/edge", sure: "likely" },
      { name: "z", architecture: "arm64", sure: "likely" },
    );
    const where = "charm c 1 (refresh_versions.toml)";
    expect(shown([needer], [])).toEqual([`!x revision 69 amd64: ${where}`, `y 4/edge: ${where}`, `z arm64: ${where}`]);
    const held = [
      snap("x", [{ revision: 70, base: "bare" }]),
      snap("y", [{ revision: 1, base: "bare" }]),
      snap("z", [{ revision: 1, base: "bare" }]),
    ];
    expect(shown([needer], held).filter((one) => one.includes(where))).toEqual([
      `!x revision 69 amd64: ${where}`,
      `+y 4/edge: ${where}`,
      `z arm64: ${where}`,
    ]);
  });

  test.each<[string, readonly string[], readonly string[], string[]]>([
    ["no base that is known", [], [], ["amd64", "arm64"]],
    ["its bases", ["amd64"], [], ["amd64"]],
    ["its releases, before its bases", ["amd64", "arm64"], ["arm64"], ["arm64"]],
    ["a release for all", ["amd64"], ["all"], ["amd64", "arm64"]],
    ["none that it names a snap for", ["s390x"], [], []],
  ])("by architecture: %s", (_, bases, releases, machines) => {
    const base = (architecture: string) => ({ name: "ubuntu", channel: "24.04", architecture });
    const snaps = ["amd64", "arm64"].map((architecture) => ({
      name: "x",
      revision: 1,
      architecture,
      sure: "certain" as const,
      where: "y",
    }));
    const needer = {
      name: "c",
      revisions: [{ revision: 1, bases: bases.map(base), snaps }],
      releases: releases.map((one) => ({ revision: 1, base: base(one) })),
    };
    expect(shown([needer], [])).toEqual(machines.map((one) => `!x revision 1 ${one}: charm c 1 (y)`));
  });

  test("what one charm seems to need and another does is certain, and told once", () => {
    const sure = (certainty: "certain" | "likely") => ({ name: "x", revision: 1, architecture: "amd64", sure: certainty });
    expect(shown([charm("a", sure("likely")), charm("b", sure("certain"))], [])).toEqual([
      "!x revision 1 amd64: charm a 1 (refresh_versions.toml), charm b 1 (refresh_versions.toml)",
    ]);
  });
});

test("a snap that is needed for several reasons says each, once", () => {
  const core: Omit<Need, "where"> = { name: "core22", architecture: "amd64", sure: "likely" };
  const app = snap("a", [{ revision: 1, base: "core22", providers: ["core22", "themes"] }]);
  const kinds = (found: readonly NeedingCharm[]) =>
    Object.fromEntries(neededSnaps(found, [app]).map((need) => [need.name, need.kinds.toSorted()]));
  expect(kinds([charm("x", core), charm("y", core)])).toEqual({
    core22: ["bases", "charm-snaps", "providers"],
    snapd: ["snapd"],
    themes: ["providers"],
  });
  expect(kinds([])["core22"]).toEqual(["bases", "providers"]);
});
