/** What a release is written with: the same bytes for the same content, which others read. */

import { expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import * as fc from "fast-check";
import { TOPICS } from "../../../bin/commands/manual.ts";
import { packagedUnit, UNIT_NAMES } from "../../../bin/commands/unit.ts";
import { debOf, membersOf } from "../../../bin/packaging/deb.ts";
import { imageOf } from "../../../bin/packaging/image.ts";
import { bundledPackages } from "../../../bin/packaging/inside.ts";
import { manPages } from "../../../bin/packaging/man.ts";
import { type Entry, tarOf } from "../../../bin/packaging/tar.ts";
import manifest from "../../../package.json" with { type: "json" };
import { runProgram } from "../../program.ts";
import { runs } from "../../thorough.ts";
import { filesOfTar as read } from "./tars.ts";

const segment = fc.stringMatching(/^[a-z][a-z0-9._-]{0,8}$/);
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));

/** Files of which none is a folder of another. */
const entries = fc
  .uniqueArray(
    fc.record({ path, bytes: fc.uint8Array({ maxLength: 1500 }), mode: fc.constantFrom(0o644, 0o755), owner: fc.constantFrom(0, 65532) }),
    {
      selector: (entry) => entry.path,
      maxLength: 8,
    },
  )
  .filter((all) => all.every((one) => !all.some((other) => other.path.startsWith(`${one.path}/`))));

test("a tar has what it was given, each folder before what is in it, and does not depend on the order", async () => {
  await fc.assert(
    fc.asyncProperty(entries, fc.nat(2 ** 31), async (all, time) => {
      const tar = tarOf(all, { prefix: "./", time });
      expect(Buffer.from(tarOf(all.toReversed(), { prefix: "./", time })).equals(Buffer.from(tar))).toBe(true);
      const { files, order } = await read(tar);
      expect(files.size).toBe(all.length);
      for (const { path: name, bytes, mode, owner } of all) {
        expect(files.get(`./${name}`)).toEqual({ bytes: Buffer.from(bytes), mode, uid: owner, mtime: time });
        for (let at = name.lastIndexOf("/"); at > 0; at = name.lastIndexOf("/", at - 1)) {
          const folder = order.indexOf(`./${name.slice(0, at)}/`);
          expect(folder).toBeGreaterThanOrEqual(0);
          expect(folder).toBeLessThan(order.indexOf(`./${name}`));
        }
      }
      expect(new Set(order).size).toBe(order.length);
    }),
    { numRuns: runs(50) },
  );
});

test("a folder and a link are what they are, with the mode that they have by default", async () => {
  const all: Entry[] = [
    { path: "a/file", bytes: "x" },
    { path: "b", mode: 0o1777, owner: 7 },
    { path: "c/link", to: "../a/file" },
  ];
  const { files, folders, links } = await read(tarOf(all, { time: 5 }));
  expect([...files].map(([name, { mode }]) => [name, mode])).toEqual([["a/file", 0o644]]);
  expect([...folders].map(([name, { mode, uid }]) => [name, mode, uid])).toEqual([
    ["a/", 0o755, 0],
    ["b/", 0o1777, 7],
    ["c/", 0o755, 0],
  ]);
  expect([...links].map(([name, { mode, to }]) => [name, mode, to])).toEqual([["c/link", 0o777, "../a/file"]]);
});

test("a path that does not fit is refused, not cut", async () => {
  const fitting = `${"a".repeat(100)}/${"b".repeat(90)}`;
  expect([...(await read(tarOf([{ path: fitting, bytes: "" }], { time: 1 }))).files.keys()]).toEqual([fitting]);
  const long = `${"a".repeat(200)}/${"b".repeat(200)}`;
  expect(() => tarOf([{ path: long, bytes: "" }], { prefix: "./", time: 1 })).toThrow("does not fit into a header of tar");
});

test("a package has three members, in the order that dpkg asks for, and its control names its size", async () => {
  await fc.assert(
    fc.asyncProperty(entries, async (files: Entry[]) => {
      const options = { control: { Package: "x", Description: "one\ntwo\n\nthree" }, scripts: { postinst: "#!/bin/sh\n" }, files, time: 1 };
      const deb = debOf(options);
      expect(Buffer.from(debOf(options)).equals(Buffer.from(deb))).toBe(true);
      const members = membersOf(deb);
      expect([...members.keys()]).toEqual(["debian-binary", "control.tar.gz", "data.tar.gz"]);
      const control = (await read(gunzipSync(members.get("control.tar.gz") ?? ""))).files;
      expect(control.get("./control")?.bytes.toString()).toMatch(
        /^Package: x\nDescription: one\n two\n \.\n three\nInstalled-Size: \d+\n$/,
      );
      expect(control.get("./postinst")?.mode).toBe(0o755);
      expect((await read(gunzipSync(members.get("data.tar.gz") ?? ""))).files.size).toBe(files.length);
    }),
    { numRuns: runs(30) },
  );
});

test("the image is the same each time, and another where a byte, the time or a label is another", () => {
  const make = (bytes: string, time = 1, label = "a") =>
    imageOf({
      name: "x:1",
      config: {},
      labels: { label },
      time,
      platforms: { amd64: [[{ path: "a", bytes }]], arm64: [[{ path: "a", bytes: "c" }]] },
    });
  const hash = (bytes: Uint8Array) => Bun.hash(bytes);
  expect(hash(make("b"))).toBe(hash(make("b")));
  for (const other of [make("d"), make("b", 2), make("b", 1, "z")]) expect(hash(other)).not.toBe(hash(make("b")));
});

test("a bundle says which packages are in it, wherever they lie", () => {
  const bundle =
    "// node_modules/yaml/dist/a.js\n// ../x/node_modules/@a/b/c.js\n// node_modules/a/node_modules/c/d.js\nvar x; // node_modules/no/x.js\n";
  expect([...bundledPackages(bundle)].toSorted()).toEqual(["@a/b", "c", "yaml"]);
});

const pages = manPages(1_800_000_000);

test("every command and every topic has a page, and no line of it is taken for an instruction that is none", () => {
  for (const name of ["chp.1", "chp-import.1", "chp-serve.1", "chp-serve.7", "chp-metrics.7"]) expect([...pages.keys()]).toContain(name);
  const known = /^\.(TH|SH|PP|TP|B|BR|IP|nf|fi|RS|RE)( |$)/;
  for (const [name, text] of pages)
    for (const line of text.split("\n")) if (/^[.']/.test(line)) expect([name, line, known.test(line)]).toEqual([name, line, true]);
  expect(pages.get("chp-import.1")).toContain(".SH EXIT STATUS\n.TP\n.B 0\ndone");
});

/** What a reader sees of a page: its text, without what troff is told. */
function shown(page: string): string {
  return page
    .replace(/^\.(SH|BR?|IP|TH|TP|PP|nf|fi|RS|RE) ?/gm, "")
    .replaceAll("\\&", "")
    .replaceAll("\\-", "-")
    .replaceAll("\\(dq", '"')
    .replaceAll("\\e", "\\");
}

test("a page has every word of its topic, or of the help of its command", async () => {
  const wordsOf = (text: string) => text.toLowerCase().match(/[a-z][a-z0-9_.-]*[a-z0-9]/g) ?? [];
  for (const { name, text } of TOPICS) {
    const page = new Set(wordsOf(shown(pages.get(`chp-${name}.7`) ?? "")));
    // Not shown are the target of a link, the language of a block, and the names of the columns of a table.
    const said = text
      .replace(/\]\([^)]*\)/g, "]")
      .replace(/^```.*$/gm, "")
      .replace(/^\|.*\|\n(?=\| *-)/gm, "");
    expect([name, wordsOf(said).filter((word) => !page.has(word))]).toEqual([name, []]);
  }
  for (const name of ["import", "serve", "config"]) {
    const { out } = await runProgram([name, "--help"], {}, "chp", undefined, { terminal: { out: false, err: false, columns: 1000 } });
    const page = new Set(wordsOf(shown(pages.get(`chp-${name}.1`) ?? "")));
    expect([name, wordsOf(out).filter((word) => !page.has(word) && !["usage", "exit", "codes"].includes(word))]).toEqual([name, []]);
  }
});

test("of a table with more than two columns each cell says which one it is of", () => {
  const page = pages.get("chp-export.7") ?? "";
  expect(page).toMatch(/^environment: .*; default: /m);
  expect(page).not.toContain("what it adds: ");
});

test("a page has the sections that man knows, and leads to the topic of its name", () => {
  const sections = (name: string) => [...(pages.get(name) ?? "").matchAll(/^\.SH "?([A-Z ]+)"?$/gm)].map(([, title]) => title);
  expect(sections("chp-import.1")).toEqual([
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "ARGUMENTS",
    "OPTIONS",
    "EXIT STATUS",
    "EXAMPLES",
    "SEE ALSO",
  ]);
  for (const { name } of TOPICS) {
    expect(pages.get(`chp-${name}.7`)).toEndWith('.SH "SEE ALSO"\n.BR chp (1)\n');
    if (pages.has(`chp-${name}.1`))
      expect(pages.get(`chp-${name}.1`)).toEndWith(`.BR chp (1),\n.BR chp\\-${name.replaceAll("-", "\\-")} (7)\n`);
  }
  expect(pages.get("chp-import.1")).toContain("(7)"); // at least one of them is both
});

test("the units of the package name what it installs", () => {
  for (const name of UNIT_NAMES) {
    const unit = packagedUnit(name);
    expect(unit.startsWith(`# ${name}: of the package chp`)).toBe(true);
    if (name !== "chp-verify.timer") expect(unit).toMatch(/^ExecStart=\/usr\/bin\/chp (serve|verify) .*--store \/var\/lib\/chp$/m);
  }
});

test("the list of what is inside Bun is that of the Bun that is built in", async () => {
  const text = await Bun.file("bin/packaging/bun-licences.txt").text();
  expect(text).toContain(`Bun ${manifest.devDependencies.bun} is the runtime`);
});
