/** What a release is made of: executables, C library, image, bill of materials, licences. */

import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { commitOf, scriptOf, targetsOf } from "../../../bin/packaging/bundle.ts";
import { imageOfChp } from "../../../bin/packaging/chpimage.ts";
import { debOf } from "../../../bin/packaging/deb.ts";
import { type Bill, billOf, licences } from "../../../bin/packaging/inside.ts";
import { type Libc, libcFolder, libcsIn } from "../../../bin/packaging/libc.ts";
import type { Entry } from "../../../bin/packaging/tar.ts";
import { VERSION } from "../../../src/version.ts";
import { tempFolder } from "../../temp.ts";
import { runs } from "../../thorough.ts";
import { filesOfTar } from "./tars.ts";

const folder = tempFolder();
afterAll(() => folder[Symbol.dispose]());

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

describe("the executables", () => {
  test("are that of this machine, or those that are named", () => {
    expect(targetsOf([])).toEqual([{ target: undefined, out: "dist/chp" }]);
    expect(targetsOf(["linux-x64", "darwin-arm64"])).toEqual([
      { target: "bun-linux-x64-baseline", out: "dist/chp-linux-x64" },
      { target: "bun-darwin-arm64", out: "dist/chp-darwin-arm64" },
    ]);
    expect(() => targetsOf(["linux-x64", "amiga"])).toThrow("there is no target amiga: linux-x64, linux-arm64, darwin-arm64");
  });

  test("name the commit that the builder names, else git's, else none", async () => {
    const git = async () => "abc123\n";
    expect(await commitOf({ CHP_COMMIT: "given" }, git)).toBe("given");
    expect(await commitOf({ CHP_COMMIT: "" }, git)).toBe(""); // a release that names none
    expect(await commitOf({}, git)).toBe("abc123");
    expect(await commitOf({}, async () => "")).toBe("");
  });
});

describe("the script for plain Node", () => {
  const bundle = '#!/usr/bin/env node\nvar file = "/home/me/chp/node_modules/x/y.js";\nrun("/home/me/chpx/z");\n';

  test("does not depend on the folder, and says nothing else than what was bundled", () => {
    const script = scriptOf(bundle, "/home/me/chp", ">=22.19").split("\n");
    expect(script[0]).toBe("#!/usr/bin/env node");
    expect(script.slice(2)).toEqual(['var file = "/node_modules/x/y.js";', 'run("/home/me/chpx/z");', ""]);
    expect(scriptOf(bundle.replaceAll("/home/me/chp/", "/else/where/"), "/else/where", ">=22.19").split("\n")).toEqual(script);
  });

  test("ends at once where Node is older than it asks for", () => {
    const [, line = ""] = scriptOf(bundle, "/home/me/chp", ">=22.19").split("\n");
    const ends = (node: string) => {
      const said: (string | number)[] = [];
      const process = { versions: { node }, exit: (code: number) => void said.push(code) };
      runInNewContext(line, { process, console: { error: (text: string) => void said.push(text) } });
      return said;
    };
    for (const node of ["22.19.0", "22.20.1", "23.0.0", "100.1.0"]) expect([node, ends(node)]).toEqual([node, []]);
    for (const node of ["22.18.9", "20.19.0", "8.0.0", "22.2.0"])
      expect(ends(node)).toEqual([`chp: Node.js 22.19 or later is needed, this is ${node}; the executable chp needs no Node.js`, 1]);
  });

  test("is refused where it could not be run, or where nobody knows by which Node", () => {
    expect(() => scriptOf("var x;\n", "/x", ">=22.19")).toThrow("chp.mjs does not begin with what runs it");
    for (const asked of ["22.19", ">=22", "^22.19", ">=22.19.1", ""])
      expect(() => scriptOf(bundle, "/x", asked)).toThrow(`engines.node: ${asked} is not >=MAJOR.MINOR`);
  });
});

const NEEDED = ["libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"];
const PLACES = {
  amd64: ["usr/lib/x86_64-linux-gnu", "ld-linux-x86-64.so.2"],
  arm64: ["lib/aarch64-linux-gnu", "ld-linux-aarch64.so.1"],
} as const;

/** A package of libc6 as Debian lays it out: libraries may be links to files with their version. */
function libcPackage(architecture: keyof typeof PLACES, leftOut: readonly string[] = []): Uint8Array {
  const [where, loader] = PLACES[architecture];
  const all: Entry[] = [
    ...NEEDED.map((name): Entry => ({ path: `${where}/${name}`, bytes: `${architecture} ${name}`, mode: 0o755 })),
    { path: `${where}/libresolv-2.36.so`, bytes: "resolver" },
    { path: `${where}/libresolv.so.2`, to: "libresolv-2.36.so" },
    { path: `${where}/libunasked.so.1`, bytes: "not needed" },
    { path: `${where}/${loader}`, bytes: `loader of ${architecture}` },
    { path: "usr/share/doc/libc6/copyright", bytes: "its licence" },
  ];
  const files = all.filter(({ path }) => !leftOut.some((name) => path.endsWith(`/${name}`)));
  return debOf({ control: { Package: "libc6" }, scripts: {}, files, time: 1 });
}

function libcsFolder(name: string, files: Readonly<Record<string, Uint8Array>>): string {
  const path = join(folder.path, name);
  mkdirSync(path);
  for (const [file, bytes] of Object.entries(files)) writeFileSync(join(path, file), bytes);
  return path;
}

const PACKAGES = {
  "libc6_2.36-9%2bdeb12u1_amd64.deb": libcPackage("amd64"),
  "libc6_2.36-9_arm64.deb": libcPackage("arm64"),
};

describe("the C library", () => {
  test("is what the executable needs of its package, where it expects it, for each architecture", async () => {
    // Those that are there are not downloaded, which no test here may do.
    const libcs = (await libcsIn(libcsFolder("libcs", { ...PACKAGES, "other.deb": new Uint8Array() }), true)) ?? [];
    expect(libcs.map(({ architecture, version }) => [architecture, version])).toEqual([
      ["amd64", "2.36-9+deb12u1"],
      ["arm64", "2.36-9"],
    ]);
    const at = ["lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"];
    const loaders = ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"];
    for (const [i, { architecture, sha256: digest, files }] of libcs.entries()) {
      const expected: Record<string, string> = { "usr/share/doc/libc6/copyright": "its licence", [`${at[i]}/libresolv.so.2`]: "resolver" };
      expected[loaders[i] ?? ""] = `loader of ${architecture}`;
      for (const name of NEEDED) expected[`${at[i]}/${name}`] = `${architecture} ${name}`;
      expect(Object.fromEntries(files.map(({ path, bytes }) => [path, Buffer.from(bytes ?? "").toString()]))).toEqual(expected);
      expect(files.find(({ path }) => path === loaders[i])?.mode).toBe(0o755);
      expect(digest).toBe(sha256(Object.values(PACKAGES)[i] ?? ""));
    }
  });

  test("without its packages there is none, and nothing is downloaded where a folder was given", async () => {
    const empty = join(folder.path, "not/yet");
    expect(await libcsIn(empty, false)).toBeUndefined();
    expect(readdirSync(empty)).toEqual([]);
    expect(await libcsIn(libcsFolder("one", { "libc6_1_amd64.deb": libcPackage("amd64") }), false)).toBeUndefined();
    expect(libcFolder("")).toBe(".run/libc6");
    expect(libcFolder(empty)).toBe(empty);
    expect(() => libcFolder(join(folder.path, "nowhere"))).toThrow("nowhere: there is no such folder");
  });

  test.each([
    ["libm.so.6", "has no libm.so.6"],
    ["libc.so.6", "has no libc.so.6"],
    ["ld-linux-x86-64.so.2", "has no loader or copyright"],
    ["copyright", "has no loader or copyright"],
  ])("a package without %s is refused", async (lacking, message) => {
    const path = libcsFolder(`without-${lacking}`, { "libc6_1_amd64.deb": libcPackage("amd64", [lacking]) });
    expect(libcsIn(path, false)).rejects.toThrow(`libc6_1_amd64.deb ${message}`);
  });

  test("two of one architecture are refused, and what is no package", async () => {
    const deb = libcPackage("amd64");
    const two = libcsFolder("two", { "libc6_1_amd64.deb": deb, "libc6_2_amd64.deb": deb });
    expect(libcsIn(two, false)).rejects.toThrow("has more than one libc6 for amd64: leave one");
    const none = debOf({ control: {}, scripts: {}, files: [], time: 1 });
    const other = Buffer.from(Buffer.from(none).toString("latin1").replace("data.tar", "dada.tar"), "latin1");
    expect(libcsIn(libcsFolder("other", { "libc6_1_amd64.deb": other }), false)).rejects.toThrow(
      "libc6_1_amd64.deb is no package of libc6",
    );
  });
});

describe("the image", () => {
  const libc = (architecture: string): Libc => ({
    architecture,
    version: "1",
    sha256: "",
    files: [{ path: "lib/libc.so.6", bytes: architecture, mode: 0o755 }],
  });
  const parts = ["amd64", "arm64"].map((architecture) => ({ libc: libc(architecture), executable: Buffer.from(`chp of ${architecture}`) }));

  test("leads from its index to every byte, for each architecture", async () => {
    const layout = (await filesOfTar(imageOfChp(parts, { licences: "all of them" }, 1_800_000_000))).files;
    const found = new Set(["oci-layout", "index.json"]);
    const blob = ({ digest, size }: { digest: string; size: number }): Buffer => {
      const path = `blobs/${digest.replace(":", "/")}`;
      const bytes = layout.get(path)?.bytes;
      if (!bytes) throw new Error(`${path} is missing`);
      expect([sha256(bytes), bytes.byteLength]).toEqual([digest.slice("sha256:".length), size]);
      found.add(path);
      return bytes;
    };
    const json = (descriptor: { digest: string; size: number }) => JSON.parse(blob(descriptor).toString());
    const top = JSON.parse(layout.get("index.json")?.bytes.toString() ?? "");
    expect(top.manifests).toMatchObject([
      { annotations: { "org.opencontainers.image.ref.name": VERSION, "io.containerd.image.name": `localhost/chp:${VERSION}` } },
    ]);
    const index = json(top.manifests[0]);
    expect(index.manifests.map(({ platform }: { platform: object }) => platform)).toEqual([
      { architecture: "amd64", os: "linux" },
      { architecture: "arm64", os: "linux" },
    ]);
    for (const descriptor of index.manifests) {
      const { architecture } = descriptor.platform;
      const manifest = json(descriptor);
      const config = json(manifest.config);
      expect(config).toMatchObject({
        architecture,
        config: {
          User: "65532:65532",
          Labels: {
            "org.opencontainers.image.title": "chp",
            "org.opencontainers.image.description": expect.stringContaining("Charmhub"),
            "org.opencontainers.image.version": VERSION,
            "org.opencontainers.image.licenses": "Apache-2.0",
          },
          Entrypoint: ["/usr/bin/chp"],
          Cmd: ["serve", "--wait-for-store"],
          Env: expect.arrayContaining(["CHP_STORE=/var/lib/chp"]),
          Volumes: { "/var/lib/chp": {} },
          StopSignal: "SIGTERM",
          Healthcheck: { Test: ["CMD", "/usr/bin/chp", "status", "--probe"], Interval: 30e9, Timeout: 10e9, StartPeriod: 10e9, Retries: 3 },
        },
      });
      const tars = manifest.layers.map((layer: { digest: string; size: number }) => Bun.gunzipSync(Buffer.from(blob(layer))));
      expect(config.rootfs.diff_ids).toEqual(tars.map((tar: Uint8Array) => `sha256:${sha256(tar)}`));
      const [below, own] = await Promise.all(tars.map((tar: Uint8Array) => filesOfTar(tar)));
      expect(below.files.get("lib/libc.so.6")).toMatchObject({ bytes: Buffer.from(architecture), mode: 0o755 });
      expect(below.files.get("etc/passwd")?.bytes.toString()).toContain("chp:x:65532:65532:");
      expect(below.folders.get("var/lib/chp/")).toMatchObject({ uid: 65532 });
      expect(below.folders.get("tmp/")).toMatchObject({ mode: 0o1777 });
      expect(own.files.get("usr/bin/chp")).toMatchObject({ bytes: Buffer.from(`chp of ${architecture}`), mode: 0o755 });
      expect(own.files.get("usr/share/doc/chp/copyright")?.bytes.toString()).toBe("all of them");
    }
    expect([...layout.keys()].toSorted()).toEqual([...found].toSorted());
  });
});

describe("the bill of materials", () => {
  const component = (name: string) => ({ "bom-ref": `${name}@1`, name, version: "1" });
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z@/-]{1,8}$/), { minLength: 2, maxLength: 8 });
  const libc: Libc = { architecture: "amd64", version: "2.36+1", sha256: "ab", files: [] };

  /** What npm may say of these packages, each needing those after it. */
  function said(all: readonly string[], number: string): Bill {
    return {
      serialNumber: number,
      metadata: {
        timestamp: number,
        tools: [{ version: number }],
        component: { ...component("folder"), "bom-ref": "chp@1" },
        lifecycles: [],
      },
      components: all.map(component),
      dependencies: all.map((name) => ({ ref: `${name}@1`, dependsOn: all.filter((other) => other < name).map((other) => `${other}@1`) })),
    };
  }

  test("is the same whenever, wherever and in whichever order npm says it", () => {
    fc.assert(
      fc.property(
        names.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([all, shuffled]) => {
          const bill = billOf(said(all, "one"), 1_800_000_000, [libc]);
          expect(billOf(said(shuffled, "two"), 1_800_000_000, [libc])).toBe(bill);
          expect(billOf(said(all, "one"), 1_800_000_001, [libc])).not.toBe(bill);
          const { components, dependencies, metadata, serialNumber } = JSON.parse(bill);
          const refs = components.map((one: { "bom-ref": string }) => one["bom-ref"]);
          expect(refs).toEqual(refs.toSorted());
          expect(refs).toEqual(expect.arrayContaining([...all.map((name) => `${name}@1`), "libc6@2.36+1?amd64", `bun@${Bun.version}`]));
          const needing = dependencies.map(({ ref }: { ref: string }) => ref);
          expect(needing).toEqual(all.map((name) => `${name}@1`).toSorted());
          for (const { dependsOn } of dependencies) expect(dependsOn).toEqual(dependsOn.toSorted());
          expect(metadata).toEqual({
            timestamp: "2027-01-15T08:00:00.000Z",
            lifecycles: [],
            component: expect.objectContaining({ name: "chp" }),
          });
          expect(serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        },
      ),
      { numRuns: runs(50) },
    );
  });
});

describe("the licences", () => {
  const bill = (names: readonly string[]) => JSON.stringify({ components: names.map((name) => ({ name, version: `of ${name}` })) });
  const bundle = "// node_modules/yaml/dist/a.js\n// node_modules/hono/dist/b.js\n";

  test("are chp's own, those of each package in the bundle with its version, and Bun's", () => {
    const text = licences(bill(["hono", "yaml", "valibot"]), bundle);
    const titles = [...text.matchAll(/^={80}\n(.*)\n={80}$/gm)].map(([, title]) => title);
    expect(titles).toEqual([`chp ${VERSION}`, "hono of hono", "yaml of yaml", "Bun, inside the executables"]);
    expect(text).toContain("Apache License");
    expect(text).toContain("Eemeli Aro"); // of yaml
  });

  test("are refused where the bill does not name what is in the bundle, or the bundle nothing", () => {
    expect(() => licences(bill(["hono", "valibot"]), bundle)).toThrow("the bill of materials does not name yaml");
    expect(() => licences(bill([]), bundle)).toThrow("the bill of materials does not name hono, yaml");
    expect(() => licences(bill(["hono", "yaml"]), "var x;")).toThrow("the bill of materials does not name anything");
  });
});
