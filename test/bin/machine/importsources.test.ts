/** What of folders is imported: regular files, and never what a link points at. */

import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { importSourcesOf } from "../../../bin/machine/importsources.ts";
import { SILENT_IO } from "../../program.ts";
import { tempFolder } from "../../temp.ts";

async function sourcesOf(folder: string, ...names: string[]): Promise<string[]> {
  const found = await importSourcesOf(
    names.map((name) => join(folder, name)),
    {},
    SILENT_IO,
  );
  return found.map(({ path = "" }) => relative(folder, path)).toSorted();
}

test("links in folders are not followed: neither to files nor to folders nor to what is not there", async () => {
  using folder = tempFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  mkdirSync(at("usb", "more"), { recursive: true });
  mkdirSync(at("elsewhere"));
  for (const name of ["usb/a.charm", "usb/more/b.charm", "elsewhere/secret.charm"]) writeFileSync(at(name), "x");
  symlinkSync(at("elsewhere", "secret.charm"), at("usb", "link.charm"));
  symlinkSync(at("elsewhere"), at("usb", "folder"));
  symlinkSync(at("nowhere"), at("usb", "dangling"));
  symlinkSync(at("usb"), at("usb", "more", "circle"));
  expect(await sourcesOf(folder.path, "usb")).toEqual(["usb/a.charm", "usb/more/b.charm"]);
});

test("of the files beside a charm its resources come along, and no links or folders of such names", async () => {
  using folder = tempFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  mkdirSync(at("resources"));
  for (const name of ["kafka_7.charm", "kafka.data_4", "zinc.data_4", "notes.txt", "resources/kafka.more_1", "secret"])
    writeFileSync(at(name), "x");
  symlinkSync(at("secret"), at("kafka.linked_2"));
  mkdirSync(at("kafka.folder_3"));
  expect(await sourcesOf(folder.path, "kafka_7.charm")).toEqual(["kafka.data_4", "kafka_7.charm", "resources/kafka.more_1"]);
});

test("a folder that is a store is no export", async () => {
  using folder = tempFolder();
  mkdirSync(join(folder.path, "store", "blobs"), { recursive: true });
  for (const name of ["format.json", "blobs/x.charm"]) writeFileSync(join(folder.path, "store", name), "x");
  writeFileSync(join(folder.path, "a.charm"), "x");
  expect(await sourcesOf(folder.path, "")).toEqual(["a.charm"]);
});
