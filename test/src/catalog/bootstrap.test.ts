import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  bootstrapNeeds,
  charmBaseImage,
  chooseJuju,
  compareJuju,
  controllerImages,
  type JujuVersion,
  parseJuju,
  readJuju,
  seriesOf,
  showImage,
} from "../../../src/catalog/bootstrap.ts";

const series = fc.tuple(fc.constantFrom(2, 3, 4, 5), fc.nat(12)).map(([major, minor]) => `${major}.${major === 2 ? 9 : minor}`);
const patch = fc.nat(60);
const exact = fc.oneof(
  fc.tuple(series, patch).map(([of, number]) => `${of}.${number}`),
  fc
    .tuple(series, fc.constantFrom("alpha", "beta", "rc"), fc.integer({ min: 1, max: 12 }))
    .map(([of, tag, number]) => `${of}-${tag}${number}`),
);
const version = fc.oneof(series, exact);

describe("a version of Juju", () => {
  test("is read as it is written, and as juju version prints it", () => {
    fc.assert(
      fc.property(series, exact, fc.constantFrom("", "-ubuntu-amd64", "-genericlinux-s390x"), (newest, one, printed) => {
        expect(readJuju(`${one}${printed}`)).toEqual(readJuju(one));
        expect(readJuju(one)).toMatchObject({ text: one, patch: expect.any(Number) });
        expect(readJuju(newest)).toEqual({ text: newest, major: expect.any(Number), minor: expect.any(Number), tag: "" });
        expect([seriesOf(readJuju(newest)), one.startsWith(seriesOf(readJuju(one)))]).toEqual([newest, true]);
      }),
    );
  });

  test.each([
    "",
    "3",
    "3.",
    "v3.6",
    "3.6/stable",
    "3.6.x",
    "3.6-",
    "3.6-beta",
    "3.6.11-ubuntu",
    "3.6.11\n",
    "3,6",
    "99999.1",
    "\u{1b}[31m",
  ])("%p is none", (text) => {
    expect(parseJuju(text)).toBeUndefined();
    expect(() => readJuju(text)).toThrow("is not a version of Juju");
  });

  test("comes before every later one", () => {
    const ordered = [
      "2.9",
      "3.0-alpha1",
      "3.0-beta2",
      "3.0-beta10",
      "3.0-rc1",
      "3.0.0",
      "3.0.3",
      "3.0.10",
      "3.0",
      "3.10-rc1",
      "3.10.0",
      "4.0.1",
    ].map(readJuju);
    for (const [i, a] of ordered.entries())
      for (const [j, b] of ordered.entries()) expect(Math.sign(compareJuju(a, b))).toBe(Math.sign(i - j));
  });

  test("of a series alone means its newest, and an exact one itself", () => {
    fc.assert(
      fc.property(fc.array(exact, { maxLength: 12 }), version, (versions, wanted) => {
        const asked = readJuju(wanted);
        const chosen = chooseJuju(asked, versions);
        const fitting = versions.filter((one) => (asked.patch === undefined ? seriesOf(readJuju(one)) === wanted : one === wanted));
        expect(chosen === undefined).toBe(fitting.length === 0);
        if (chosen === undefined) return;
        expect(fitting).toContain(chosen);
        for (const other of fitting) expect(compareJuju(readJuju(other), readJuju(chosen))).toBeLessThanOrEqual(0);
      }),
    );
  });

  test("is never one of what is no version", () => {
    expect(chooseJuju(readJuju("3.6"), ["latest", "3.6", "3.60.1", "13.6.1"])).toBeUndefined();
    expect(chooseJuju(readJuju("4.1"), ["4.1-beta2", "4.1-beta10"])).toBe("4.1-beta10");
    expect(chooseJuju(readJuju("4.1"), ["4.1.0", "4.1-rc9"])).toBe("4.1.0");
  });
});

const tracksOf = (juju: JujuVersion) =>
  bootstrapNeeds(juju).snaps.flatMap(({ name, channel }) => (name === "juju-db" ? [channel.replace("/stable", "")] : []));

describe("what a bootstrap needs", () => {
  test("has the same database as a snap and as an image, and one below Juju 4 alone", () => {
    fc.assert(
      fc.property(exact, (text) => {
        const juju = readJuju(text);
        expect(controllerImages(juju).flatMap(({ name, tag }) => (name === "juju-db" ? [tag] : []))).toEqual(tracksOf(juju));
        expect(tracksOf(juju).length > 0).toBe(juju.major < 4);
      }),
    );
  });

  test("has the controller's charm and its base's image from Juju 3 on, and the controller's image of that very version", () => {
    fc.assert(
      fc.property(exact, (text) => {
        const juju = readJuju(text);
        const { charm } = bootstrapNeeds(juju);
        const [operator, ...others] = controllerImages(juju);
        expect(operator).toMatchObject({ name: "jujud-operator", tag: text });
        expect(charm?.channel).toBe(juju.major < 3 ? undefined : `${seriesOf(juju)}/stable`);
        const systems = (charm?.systems ?? []).map((system) => showImage(charmBaseImage(system)));
        const bases = others.filter(({ name }) => name === "charm-base").map(showImage);
        expect(bases).toHaveLength(charm ? 1 : 0);
        for (const base of bases) expect(systems).toContain(base);
      }),
    );
  });

  test("has snapd always, nothing twice, and the newest of a series needs what its newest patch does", () => {
    fc.assert(
      fc.property(series, (text) => {
        const { snaps, ...needs } = bootstrapNeeds(readJuju(text));
        const last = bootstrapNeeds(readJuju(`${text}.99999`));
        expect({ ...needs, version: 0 }).toEqual({
          imageRepository: last.imageRepository,
          ...(last.charm && { charm: last.charm }),
          version: 0,
        });
        expect(snaps).toEqual(last.snaps);
        const keys = snaps.map(({ name, channel }) => `${name} ${channel}`);
        expect(keys).toContain("snapd latest/stable");
        expect(new Set(keys).size).toBe(keys.length);
      }),
    );
  });

  test("of a series alone names no image: their tags are versions", () => {
    expect(() => controllerImages(readJuju("3.6"))).toThrow("choose its version first");
  });

  // Read in the sources of these versions; 3.6.28 and 2.9.57 by their release notes and the changes that they name.
  test.each<[string, string, string[]]>([
    ["2.9.42", "docker.io/jujusolutions", ["jujud-operator:2.9.42", "juju-db:4.4"]],
    ["2.9.57", "docker.io/jujusolutions", ["jujud-operator:2.9.57", "juju-db:4.4", "juju-db:4.4.30"]],
    ["3.1.8", "docker.io/jujusolutions", ["jujud-operator:3.1.8", "juju-db:4.4", "charm-base:ubuntu-22.04"]],
    ["3.6.8", "docker.io/jujusolutions", ["jujud-operator:3.6.8", "juju-db:4.4", "charm-base:ubuntu-24.04"]],
    ["3.6.11", "ghcr.io/juju", ["jujud-operator:3.6.11", "juju-db:4.4", "charm-base:ubuntu-24.04"]],
    ["3.6.28", "ghcr.io/juju", ["jujud-operator:3.6.28", "juju-db:4.4.30", "charm-base:ubuntu-24.04"]],
    ["4.0.15", "ghcr.io/juju", ["jujud-operator:4.0.15", "charm-base:ubuntu-24.04"]],
    ["4.1-beta2", "ghcr.io/juju", ["jujud-operator:4.1-beta2", "charm-base:ubuntu-24.04"]],
  ])("Juju %s takes its images from %s", (juju, repository, images) => {
    expect(bootstrapNeeds(readJuju(juju)).imageRepository).toBe(repository);
    expect(controllerImages(readJuju(juju)).map(showImage)).toEqual(images);
  });

  test.each<[string, string[]]>([
    ["2.9.42", ["juju-db 4.4/stable", "core latest/stable", "snapd latest/stable"]],
    ["3.6.11", ["juju-db 4.4/stable", "core latest/stable", "snapd latest/stable"]],
    ["3.6", ["juju-db 4.4.30/stable", "core latest/stable", "snapd latest/stable"]],
    ["4.0.15", ["core latest/stable", "snapd latest/stable"]],
    ["4.1-beta2", ["jujud latest/edge (likely)", "core latest/stable", "snapd latest/stable"]],
    ["4.2.0", ["jujud latest/edge (likely)", "core latest/stable", "snapd latest/stable"]],
  ])("a controller of Juju %s that is a machine installs %p", (juju, snaps) => {
    const show = ({ name, channel, sure }: { name: string; channel: string; sure: string }) =>
      `${name} ${channel}${sure === "likely" ? " (likely)" : ""}`;
    expect(bootstrapNeeds(readJuju(juju)).snaps.map(show)).toEqual(snaps);
  });
});
