import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkController, controllerFindings, controllerTracks } from "../../../src/catalog/controller.ts";
import type { Package } from "../../../src/catalog/package.ts";
import { bundleFindings, resourceFindings, snapFindings } from "../../../src/catalog/readiness.ts";
import type { Snap } from "../../../src/catalog/snap.ts";
import { certificateFindings, hostOf, trustAnchors } from "../../../src/settings/certificate.ts";

interface Row {
  channel: string;
  on?: string;
  architecture?: string;
  revision?: number;
}

function pkg(name: string, parts: { revisions?: object[]; resources?: object[]; releases?: Row[] } = {}): Package {
  const releases = (parts.releases ?? []).map(({ channel, on = "24.04", architecture = "amd64", revision = 1 }) => ({
    channel,
    base: { name: "ubuntu", channel: on, architecture },
    revision,
    releasedAt: "2026-01-01T00:00:00Z",
    resources: {},
  }));
  const revisions = (parts.revisions ?? [{}]).map((one, i) => ({
    revision: i + 1,
    bases: releases.map((row) => row.base),
    resources: [],
    charms: [],
    ...one,
  }));
  return {
    name,
    type: "charm",
    formerIds: [],
    defaultTrack: "latest",
    history: [],
    resources: [],
    ...parts,
    revisions,
    releases,
  } as unknown as Package;
}

describe("what is stored", () => {
  test("charms that bundles name and nobody holds, each once", () => {
    const named = [
      { by: "bundle one 2", charm: "held" },
      { by: "bundle one 2", charm: "lost" },
      { by: "bundle two 1", charm: "lost" },
      { by: "bundle two 1", charm: "lost" },
    ];
    expect(bundleFindings([pkg("held")], named)).toEqual([
      {
        check: "charms",
        what: "the charm lost is not stored; named by bundle one 2, bundle two 1",
        sure: "certain",
        next: expect.stringContaining("lost in charms.yaml: chp export charms"),
      },
    ]);
  });

  test.each([
    ["stable", true],
    ["latest/stable", true],
    ["candidate", true],
    ["1/stable", true],
    ["1/edge", true],
    ["2/stable", false],
    ["2/edge", true],
    ["no channel at all", false],
  ])("a charm that a bundle wants from %s", (channel, fine) => {
    const releases = [{ channel: "latest/stable" }, { channel: "1/stable", architecture: "arm64" }, { channel: "2/edge", on: "22.04" }];
    const found = bundleFindings([pkg("held", { releases })], [{ by: "bundle one 2", charm: "held", channel }]);
    expect(found.map(({ what }) => what)).toEqual(fine ? [] : [`the charm held is stored, but not in ${channel}; named by bundle one 2`]);
  });

  test("resources that a charm declares and of which no revision is stored", () => {
    const charm = pkg("c", {
      revisions: [{ resources: ["a", "constructor"] }, { resources: ["a", "b", "constructor"] }],
      resources: [
        { name: "a", revisions: [{ revision: 1 }] },
        { name: "b", revisions: [] },
      ],
    });
    expect(resourceFindings([charm]).map(({ what }) => what)).toEqual([
      "the resource constructor is not stored; declared by charm c 1, 2",
      "the resource b is not stored; declared by charm c 2",
    ]);
  });

  test("snaps: bases, snapd, and what charms install, with how sure that is", () => {
    const charm = pkg("c", {
      revisions: [
        {
          snaps: [
            { name: "postgresql", revision: 96, sure: "certain", where: "refresh_versions.toml" },
            { name: "jq", sure: "likely", where: "src/charm.py" },
          ],
        },
      ],
    });
    const revision = { revision: 1, type: "app", base: "core22", providers: [], architectures: ["all"] };
    const snap = { name: "hello", revisions: [revision], releases: [{ channel: "latest/stable", architecture: "all", revision: 1 }] };
    expect(snapFindings([charm], [snap as unknown as Snap]).map(({ what, sure }) => [what, sure])).toEqual([
      ["the snap core22 is not stored; needed by base of hello", "certain"],
      ["the snap postgresql revision 96 is not stored; needed by charm c 1 (refresh_versions.toml)", "certain"],
      ["the snap snapd is not stored; needed by every machine that installs a snap", "certain"],
      ["the snap jq is not stored; needed by charm c 1 (src/charm.py)", "likely"],
    ]);
  });
});

describe("the controller's charm", () => {
  const BOTH = [{ channel: "3.6/stable" }, { channel: "3.6/stable", on: "22.04" }];

  test.each([
    ["3.6", ["3.6"]],
    ["3.6.11", ["3.6"]],
    ["4.1-beta2", ["4.1"]],
    ["3.6.11-ubuntu-amd64", ["3.6"]],
    ["2.9.52", []],
  ])("Juju %s asks for the tracks %p", (juju, tracks) => {
    expect(controllerTracks(juju)).toEqual(tracks);
  });

  test.each(["", "3", "latest", "3.", "v3.6", "3.6/stable", "3,6", "\u{1b}[31m"])("%p is no version of Juju", (juju) => {
    expect(() => controllerTracks(juju)).toThrow("is not a version of Juju");
  });

  test("is there for 24.04 and 22.04", () => {
    expect(controllerFindings(pkg("juju-controller", { releases: BOTH }), ["3.6"])).toEqual([]);
    expect(checkController(pkg("juju-controller", { releases: BOTH }), ["3.6"])[0]?.stored.map((one) => one.channel)).toEqual([
      "24.04",
      "22.04",
    ]);
  });

  test.each([
    ["another track", BOTH, "4.1", "is not stored in 4.1/stable, without which that Juju cannot bootstrap"],
    ["one base alone", BOTH.slice(1), "3.6", "is not stored in 3.6/stable for ubuntu@24.04 amd64"],
    [
      "not stable yet",
      [{ channel: "3.6/edge" }, { channel: "3.6/edge", on: "22.04" }],
      "3.6",
      "is not stored in 3.6/stable, without which",
    ],
    [
      "an architecture with one base",
      [...BOTH, { channel: "3.6/stable", architecture: "arm64" }],
      "3.6",
      "is not stored in 3.6/stable for ubuntu@22.04 arm64",
    ],
  ])("lacks: %s", (_, releases, track, what) => {
    const [finding] = controllerFindings(pkg("juju-controller", { releases }), [track]);
    expect(finding?.what).toContain(what);
    expect(finding?.next).toContain(`juju-controller (channel ${track}/stable)`);
  });

  test("without a version every track that is held is looked at, and one must be", () => {
    expect(controllerFindings(pkg("juju-controller", { releases: [...BOTH, { channel: "4.1/stable" }] })).map(({ what }) => what)).toEqual([
      "the charm juju-controller is not stored in 4.1/stable for ubuntu@22.04 amd64",
    ]);
    expect(controllerFindings(undefined)).toHaveLength(1);
    expect(controllerFindings(undefined, [])).toEqual([]);
  });
});

describe("the certificate", () => {
  const PEM = readFileSync(join(import.meta.dir, "../../fixtures/tls/cert.pem"), "utf8");
  const now = Date.parse("2027-01-01T00:00:00Z");
  const about = (url: string | undefined, at = now) => certificateFindings([PEM], url, at, "renew it").map(({ what }) => what);

  test.each([
    ["an address", "https://127.0.0.1:8443"],
    ["a name", "https://localhost/prefix"],
    ["nothing over TLS", "http://hub.lan"],
    ["nothing", undefined],
  ])("is good for %s", (_, url) => {
    expect(about(url)).toEqual([]);
  });

  test("names another host", () => {
    expect(about("https://hub.lan:8443")).toEqual(["the certificate does not name hub.lan, by which clients reach chp"]);
    expect(about("https://[::1]:8443")).toEqual(["the certificate does not name ::1, by which clients reach chp"]);
  });

  test.each([
    ["2126-10-01T13:00:00Z", []],
    ["2126-10-02T13:58:34Z", ["the certificate CN=chp test expires on 2126-10-31"]],
    ["2126-10-31T13:58:34Z", ["the certificate CN=chp test expired on 2126-10-31"]],
    ["2026-11-01T00:00:00Z", ["the certificate CN=chp test is valid only from 2026-11-24 on"]],
  ])("at %s", (time, found) => {
    expect(about("https://localhost", Date.parse(time))).toEqual(found);
  });

  test("what clients trust is what is self-signed", () => {
    expect(trustAnchors([PEM])).toEqual([PEM]);
    expect(trustAnchors([])).toEqual([]);
  });
});

test.each([
  ["hub.lan:5000", "hub.lan"],
  ["hub.lan", "hub.lan"],
  ["[::1]:5000", "::1"],
  ["https://hub.lan:8443/x", "hub.lan"],
])("the host of %p", (place, host) => {
  expect(hostOf(place)).toBe(host);
});
