/** The real juju info, find and download of one version against a hub. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Done, tempFolder } from "../e2e/chp.ts";
import { sha256 } from "./expect.ts";
import { FIRST } from "./world.ts";

export type Check = (what: string, body: () => Promise<void>) => Promise<void>;

const OLD = ["2.9"];
const NEW = ["3.6", "4.1"];
const ALL = [...OLD, ...NEW];

/** versions, arguments, the revision that must come, its resources */
const DOWNLOADS: readonly (readonly [readonly string[], string, number, Readonly<Record<string, number>>?])[] = [
  [ALL, "acme-web --channel latest/stable", 7],
  [ALL, "acme-web --channel latest/stable --arch s390x", 8],
  [ALL, "acme-db --channel latest/stable", 10],
  [ALL, "acme-stack", 3],
  [ALL, "acme-stack --channel latest/edge", 3],
  // 2.9 has no word for 24.04 and never takes the base that the hub suggests.
  [OLD, "acme-web --series jammy", 30],
  [OLD, "acme-web --series jammy --channel 2/beta", 30],
  [OLD, "acme-web --series jammy --channel 1/beta", 12],
  [OLD, "tiny --series jammy --arch arm64", 5],
  [NEW, "acme-web", 31],
  [NEW, "acme-web --channel stable", 31],
  [NEW, "acme-web --channel edge", 33],
  [NEW, "acme-web --channel 2/candidate", 31],
  [NEW, "acme-web --arch arm64", 32],
  [NEW, "acme-web --base ubuntu@22.04", 30],
  // From here on the first answer is a refusal, and its suggestion is what they ask for next.
  [NEW, "acme-web --channel 1/beta", 12],
  [NEW, "acme-web --base ubuntu@18.04", 31],
  [NEW, "tiny --arch arm64", 5],
  [NEW, "acme-web --revision 31", 31],
  [NEW, "acme-web --revision 29", 29],
  [NEW, "acme-stack --revision 3", 3],
  [NEW, "acme-web --resources", 31, { site: 4, "web-image": 11 }],
  [NEW, "acme-web --channel 2/edge --resources", 33, { site: 5, "web-image": 12 }],
  [NEW, "juju-controller --channel 3.6/stable", 116],
];

const REFUSALS: readonly (readonly [readonly string[], string, ...string[]])[] = [
  [ALL, "info no-such-charm", "No information found", "no-such-charm"],
  [ALL, "download no-such-charm", "unable to locate no-such-charm", "not found"],
  [ALL, "download acme-web --channel 9/stable", 'has no releases in channel "9/stable"'],
  [ALL, "download acme-web --channel 1/stable", 'has no releases in channel "1/stable"'],
  [ALL, "download acme-web --arch ppc64el", '"acme-web" does not support'],
  [ALL, "download acme-stack --channel 9/stable", 'has no releases in channel "9/stable"'],
  [OLD, "download acme-web --series bionic", 'does not support series "bionic"', "jammy"],
  [NEW, "download acme-web --revision 900", "unable to locate acme-web", "900"],
  [NEW, "download no-such-charm --revision 3", "unable to locate no-such-charm", "not found"],
];

/** What Juju says of a reply that it cannot read. */
const GARBLED = /EOF|invalid character|unmarshal|unexpected c|server error|panic|goroutine|parsing time|more than 1 result/;

export async function commands(version: string, executable: string, url: string, check: Check): Promise<void> {
  const run = async (line: string, cwd = "/"): Promise<Done> => {
    using home = tempFolder();
    const env = { HOME: home.path, JUJU_DATA: home.path, PATH: process.env["PATH"] ?? "" };
    const child = Bun.spawn([executable, ...line.split(" "), "--charmhub-url", url], { cwd, env, stdout: "pipe", stderr: "pipe" });
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    return { code, out, err };
  };
  const said = async (line: string, cwd?: string): Promise<string> => {
    const { code, out, err } = await run(line, cwd);
    if (code !== 0) throw new Error(`exit ${code}: ${err.trim()}`);
    return out;
  };
  const checkAll = async (line: string, body: (line: string) => Promise<void>) => check(`juju ${version} ${line}`, () => body(line));

  for (const [versions, args, revision, resources = {}] of DOWNLOADS) {
    if (!versions.includes(version)) continue;
    await checkAll(`download ${args}`, async (line) => {
      using folder = tempFolder();
      await said(`${line} --no-progress`, folder.path);
      const files = readdirSync(folder.path);
      const spec = FIRST.find(({ name }) => name === args.split(" ")[0]);
      const archives = files.filter((name) => !name.startsWith("resource_"));
      same("archives", archives.length, 1);
      same("sha-256", sha256(readFileSync(join(folder.path, archives[0] ?? ""))), sha256(spec?.revisions[revision] ?? ""));
      same("count of resources", files.length - 1, Object.keys(resources).length);
      for (const [name, at] of Object.entries(resources)) {
        const file = files.find((found) => new RegExp(`^resource_${name}_r${at}(_|$)`).test(found));
        if (file === undefined) throw new Error(`no revision ${at} of ${name} among ${files.join(", ")}`);
        const content = spec?.resources?.[name];
        if (content?.type === "file") same(name, sha256(readFileSync(join(folder.path, file))), sha256(content.revisions[at] ?? ""));
      }
    });
  }

  for (const [versions, line, ...words] of REFUSALS) {
    if (!versions.includes(version)) continue;
    await checkAll(line, async () => {
      using folder = tempFolder();
      const { code, err } = await run(line, folder.path);
      if (code === 0) throw new Error("exit 0");
      for (const word of words) if (!err.includes(word)) throw new Error(`${JSON.stringify(err)} does not say ${word}`);
      if (GARBLED.test(err)) throw new Error(`no refusal but a reply that Juju cannot read: ${err}`);
      same("files left", readdirSync(folder.path).length, 0);
    });
  }

  for (const spec of FIRST) {
    await checkAll(`info ${spec.name} --format json`, async (line) => {
      const shown = JSON.parse(await said(line)) as Shown;
      same("id", shown.id, spec.id);
      same("type", shown.type, spec.type);
      same("publisher", shown.publisher, spec.publisher?.["display-name"]);
      same("first track", shown.tracks?.[0], spec.defaultTrack);
      // 2.9 shows one row a channel, the others one a channel and revision.
      const rows = sorted(new Set(spec.releases.map((r) => `${r.channel} ${r.revision}`)));
      const got = rowsOf(shown);
      same("channels", channelsOf(got), channelsOf(rows));
      same("rows", got.join(), (version === "2.9" ? rows.filter((row) => got.includes(row)) : rows).join());
    });
    await checkAll(`find ${spec.name} --format json`, async (line) => {
      const found = JSON.parse(await said(line)) as Shown[];
      same("id", found.find(({ name }) => name === spec.name)?.id, spec.id);
    });
  }

  const jammy = version === "2.9" ? "--series jammy" : "--base ubuntu@22.04";
  const some: readonly (readonly [string, readonly string[]])[] = [
    ["--arch arm64", ["2/stable 32"]],
    ["--arch s390x", ["latest/stable 8"]],
    [jammy, ["1/beta 12", "2/stable 30"]],
    ["--channel 1/beta", ["1/beta 12"]],
    ...(version === "2.9" ? [] : [["--revision 30", ["2/stable 30"]] as const]),
  ];
  for (const [option, rows] of some) {
    await checkAll(`info acme-web ${option} --format json`, async (line) => {
      same("rows", rowsOf(JSON.parse(await said(line)) as Shown).join(), rows.join());
    });
  }
  await checkAll("info acme-web --unicode never", async (line) => {
    const table = await said(line);
    for (const row of [/^ {2}2\/stable: +3[012] .*\(3[012]\)/m, /^ {2}2\/beta: +\^$/m, /^ {2}1\/stable: +--$/m])
      if (!row.test(table)) throw new Error(`no ${row} in ${table}`);
  });
  await checkAll("info acme-web --config", async (line) => {
    if (!/port/.test(await said(line))) throw new Error("no option is shown");
  });

  const names = (type: string) => FIRST.filter((spec) => spec.type === type).map(({ name }) => name);
  const finds: readonly (readonly [string, readonly string[]])[] = [
    ["find", [...names("charm"), ...names("bundle")]],
    ["find --type charm", names("charm")],
    ["find --type bundle", names("bundle")],
    ["find --publisher Acme", ["acme-db", "acme-stack", "acme-web", "tiny"]],
    ["find --channel 2/edge", ["acme-web"]],
    ["find nothing-like-it", []],
  ];
  for (const [line, wanted] of finds) {
    await checkAll(line, async () => {
      const found = JSON.parse((await said(`${line} --format json`)).trim() || "[]") as Shown[] | null;
      same("names", sorted((found ?? []).map(({ name }) => name)).join(), sorted(wanted).join());
    });
  }
}

interface Row {
  readonly revision: number;
}

/** `--format json`; 2.9 shows one row a channel. */
interface Shown {
  readonly name: string;
  readonly id: string;
  readonly type: string;
  readonly publisher: string;
  readonly tracks?: readonly string[];
  readonly "channel-map"?: Readonly<Record<string, Row>>;
  readonly channels?: Readonly<Record<string, Readonly<Record<string, readonly Row[]>>>>;
}

function rowsOf({ "channel-map": map = {}, channels }: Shown): readonly string[] {
  const old = Object.entries(map).map(([channel, { revision }]) => `${channel} ${revision}`);
  const tracks = Object.entries(channels ?? {}).flatMap(([track, risks]) =>
    Object.entries(risks).flatMap(([risk, rows]) => rows.map(({ revision }) => `${track}/${risk} ${revision}`)),
  );
  return sorted([...old, ...tracks]);
}

function channelsOf(rows: readonly string[]): string {
  return [...new Set(rows.map((row) => row.split(" ")[0]))].join();
}

function sorted(texts: Iterable<string>): readonly string[] {
  return [...texts].toSorted();
}

function same<T extends string | number | undefined>(what: string, got: T, wanted: T): void {
  if (got !== wanted) throw new Error(`${what}: ${got}, expected ${wanted}`);
}
