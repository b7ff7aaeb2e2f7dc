/** Changing and undoing by the executable: releases, rollback, garbage, backup, and kill -9 in the middle. */

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Generation } from "../../src/catalog/generation-types.ts";
import { sumsOf } from "../../src/digest.ts";
import { Disk } from "../../store/fs.ts";
import { blobsOf } from "../../store/reach.ts";
import { Store } from "../../store/store.ts";
import { base, charmZip, exportOf, type PackageSpec } from "../build.ts";
import { storedSettings } from "../storedsettings.ts";
import { runs } from "../thorough.ts";
import { chp, here, killedAt, serve, spawn, tempFolder } from "./chp.ts";

const JAMMY = base("amd64", "22.04");
const NOW = ["--keep-generations", "2", "--keep-days", "0", "--older-than", "0"];

function spec(name: string, revision: number, size = 50_000): PackageSpec {
  const noise = Buffer.alloc(size, `${name} ${revision} `);
  return {
    name,
    id: name.padEnd(32, "0"),
    type: "charm",
    revisions: { [revision]: charmZip({ name, revision, bases: [JAMMY], files: { noise } }) },
    bases: { [revision]: [JAMMY] },
    releases: [{ channel: "latest/stable", base: JAMMY, revision }],
  };
}

/** A store with revisions 1 to `revisions` of each name, one generation a revision. */
async function filled(folder: string, names: readonly string[], revisions: number): Promise<string> {
  const store = join(folder, "store");
  for (let revision = 1; revision <= revisions; revision += 1) {
    const file = join(folder, `${revision}.tar.gz`);
    writeFileSync(file, exportOf(names.map((name) => spec(name, revision))));
    expect(await here(["import", "--store", store, file])).toMatchObject({ code: 0 });
  }
  return store;
}

/** Every blob of every kept generation is there, with its bytes; the revisions of the newest. */
async function verified(folder: string): Promise<string[]> {
  const store = await Store.open(new Disk(folder));
  const seen = new Set<Parameters<typeof store.blob>[0]>();
  const whole = async (generation: Generation) => {
    for await (const { digest } of blobsOf(store, generation, { seen })) {
      const read = async () => (await store.blob(digest))?.bytes();
      const bytes = await read().catch(read); // gc may have moved it since it was opened, as Store.text knows
      expect(bytes && sumsOf(bytes)["sha-256"]).toBe(digest);
    }
  };
  for (const number of await store.generationNumbers()) {
    const generation = await store.generation(number);
    if (!generation) continue;
    await whole(generation).catch(async (error: unknown) => {
      if (await store.generation(number)) throw error; // else gc has pruned it meanwhile
    });
  }
  return (await (await store.snapshot()).packages()).flatMap((pkg) => pkg.revisions.map((r) => `${pkg.name} ${r.revision}`));
}

test("each change says what moved and how to undo it, and a running server answers by it", async () => {
  using folder = tempFolder();
  const store = await filled(folder.path, ["tiny"], 2);
  const served = await serve(store);
  const head = async () =>
    (await (await fetch(`${served.url}/v2/charms/info/tiny?fields=default-release.revision.revision`)).text()).match(
      /"revision":(\d+)/,
    )?.[1];
  const run = async (...args: string[]) => {
    const done = await chp([...args, "--store", store]);
    return [done.code, done.out, done.err];
  };
  expect(await head()).toBe("2");
  expect(await run("release", "tiny", "1", "stable")).toEqual([
    0,
    `tiny latest/stable ubuntu@22.04 amd64: 2 → 1\ngeneration 3: 1 package changed\nundo: chp rollback 2 --store ${store}\n`,
    "",
  ]);
  expect(await head()).toBe("1");
  expect((await run("release", "tiny", "1", "stable"))[1]).toBe("nothing changed\n");
  expect((await run("close", "tiny", "latest/stable", "--base", "22.04", "--arch", "amd64"))[1]).toContain("closed, was 1");
  expect(await head()).toBeUndefined();
  expect((await run("release", "tiny", "2", "2/edge"))[1]).toContain("tiny: default track latest → 2");
  expect((await run("release", "tiny", "2", "latest/edge"))[0]).toBe(0);
  expect((await run("default-track", "tiny", "2"))[1]).toContain("default track latest → 2");
  expect((await run("rollback", "2"))[1]).toContain("tiny latest/stable ubuntu@22.04 amd64: opened at 2");
  expect(await head()).toBe("2");
  expect((await run("log"))[1]).toContain("rollback 2  1 package");
  expect((await run("log"))[1]).toContain("close tiny latest/stable --base 22.04 --arch amd64  1 package");
  await served.stop();
});

test("an override holds a channel over imports and releases, until it ends or is ended", async () => {
  using folder = tempFolder();
  const store = await filled(folder.path, ["tiny"], 2);
  const served = await serve(store);
  const head = async () =>
    (await (await fetch(`${served.url}/v2/charms/info/tiny?fields=channel-map.revision.revision`)).text()).match(
      /"revision":\{"revision":(\d+)/,
    )?.[1];
  const run = async (...args: string[]) => {
    const done = await here([...args, "--store", store]);
    return [done.code, done.out, done.err] as const;
  };
  const row = "tiny latest/stable ubuntu@22.04 amd64";
  const hold = "by an override until 2999-12-31T23:59:59Z: 2 breaks backups";
  expect(await run("override", "tiny", "1", "stable", "--reason", "2 breaks backups", "--until", "2999-12-31")).toEqual([
    0,
    `${row}: pinned to 1 instead of 2 until 2999-12-31T23:59:59Z: 2 breaks backups\ngeneration 3: 1 package changed\nundo: chp rollback 2 --store ${store}\n`,
    "",
  ]);
  expect(await head()).toBe("1");
  writeFileSync(join(folder.path, "3.tar.gz"), exportOf([spec("tiny", 3)]));
  const end = `end it: chp end-override tiny latest/stable --store ${store}\n`;
  expect((await run("import", join(folder.path, "3.tar.gz")))[1]).toContain(
    `  latest/stable ubuntu@22.04 amd64: 2 → 3; pinned to 1 ${hold}\n  ${end}`,
  );
  expect((await run("release", "tiny", "2", "stable"))[1]).toStartWith(`${row}: 3 → 2; pinned to 1 ${hold}\n${end}`);
  expect(await head()).toBe("1");

  const facts = {
    name: "tiny",
    type: "charm",
    channel: "latest/stable",
    on: "ubuntu@22.04 amd64",
    revision: 1,
    without: 2,
    reason: "2 breaks backups",
    until: "2999-12-31T23:59:59Z",
    state: "in force",
  };
  expect(JSON.parse((await run("overrides", "--json"))[1])).toEqual([facts]);
  expect(await run("overrides", "tiny")).toEqual([
    0,
    "tiny\tcharm\tlatest/stable\tubuntu@22.04 amd64\t1\t2\t2999-12-31T23:59:59Z\t2 breaks backups\n",
    expect.stringContaining("is pinned to 1, while 2 is released there (2 breaks backups); chp end-override tiny latest/stable serves it"),
  ]);
  expect(await run("overrides", "nope")).toMatchObject([1, "", expect.stringContaining("no package named nope is stored")]);
  expect((await run("show", "tiny"))[1]).toContain("overrides:\n  latest/stable  ubuntu@22.04 amd64  pinned to 1 instead of 2 until");
  expect((await run("list"))[1]).toContain("\tlatest/stable*\t");
  expect(JSON.parse((await run("status", "--json"))[1])).toMatchObject({
    overrides: [facts],
    notes: expect.arrayContaining([expect.stringContaining("while 2 is released there")]),
  });
  expect((await run("diff", "2", "3"))[1]).toContain(
    "override latest/stable ubuntu@22.04 amd64: none → 1 until 2999-12-31T23:59:59Z (2 breaks backups)",
  );
  expect((await run("log"))[1]).toContain('override tiny 1 stable --until 2999-12-31T23:59:59Z --reason "2 breaks backups"  1 package');

  const plan = join(folder.path, "plan.json");
  expect((await run("remove", "tiny@1", "--plan", plan))[1]).toContain(
    "used: an override pins latest/stable ubuntu@22.04 amd64 to revision 1: 2 breaks backups",
  );
  expect(await run("remove", "--apply", plan)).toMatchObject([3, "", expect.stringContaining("chp end-override ends an override")]);
  expect((await run("close", "tiny", "stable"))[1]).toStartWith(`${row}: closed, was 2; pinned to 1 ${hold}`);
  expect(await head()).toBe("1");
  expect(await run("close", "tiny", "stable")).toMatchObject([
    1,
    "",
    expect.stringContaining("which chp end-override tiny latest/stable ends"),
  ]);
  expect((await run("end-override", "tiny", "stable"))[1]).toStartWith(`${row}: closed, was pinned to 1\n`);
  expect(await head()).toBeUndefined();
  expect((await run("rollback", "5"))[1]).toContain(`${row}: pinned to 1 instead of 2 until`);
  expect(await head()).toBe("1");

  const until = new Date(Date.now() + 3000).toISOString();
  expect((await run("override", "tiny", "3", "stable", "--reason", "a while", "--until", until.replace(/\.\d+/, "")))[1]).toContain(
    "pinned to 3 instead of 2 until",
  );
  while ((await head()) === "3") await Bun.sleep(100); // it ends by itself
  expect(await head()).toBe("2");
  expect((await run("status"))[1]).toContain(
    "its override ended, so it offers 2; chp end-override tiny latest/stable takes it off the list",
  );
  expect((await run("end-override", "tiny", "stable"))[1]).toStartWith(`${row}: offers 2, was pinned to 3\n`);
  expect((await run("verify", "--read-data"))[0]).toBe(0);
  await served.stop();
});

test.each([
  ["a package that is not stored", ["release", "nope", "1", "stable"], 1, "no package named nope is stored"],
  ["a revision that is not stored", ["release", "tiny", "9", "stable"], 1, "revision 9 of tiny is not stored"],
  ["no channel", ["release", "tiny", "1", "a/b/c/d"], 2, "a/b/c/d is not a channel"],
  ["a base that it does not run on", ["release", "tiny", "1", "stable", "--base", "20.04"], 3, "and not on 20.04"],
  ["a channel that is closed", ["close", "tiny", "edge"], 1, "tiny has no release in latest/edge"],
  ["a track without a release", ["default-track", "tiny", "9"], 1, "tiny has no release in the track 9"],
  ["an override without a reason", ["override", "tiny", "1", "stable"], 2, "required option '--reason <TEXT>'"],
  ["an empty reason", ["override", "tiny", "1", "stable", "--reason", " "], 2, "--reason takes a line of text"],
  ["an end that is over", ["override", "tiny", "1", "stable", "--reason", "x", "--until", "2020-01-01"], 2, "takes a time to come"],
  ["no date", ["override", "tiny", "1", "stable", "--reason", "x", "--until", "soon"], 2, "takes a day or a time, not soon"],
  ["a revision that can't be held", ["override", "tiny", "9", "stable", "--reason", "x"], 1, "revision 9 of tiny is not stored"],
  ["an override on another base", ["override", "tiny", "1", "stable", "--reason", "x", "--base", "20.04"], 3, "and not on 20.04"],
  ["to end what is not there", ["end-override", "tiny", "stable"], 1, "tiny has no override in latest/stable"],
  ["a generation that was never made", ["rollback", "9"], 1, "generation 9 was never made"],
  ["no number", ["rollback", "x"], 2, "takes a whole number"],
] as const)("refused: %s", async (_, args, code, err) => {
  using folder = tempFolder();
  const store = await filled(folder.path, ["tiny"], 1);
  const done = await here([...args, "--store", store]);
  expect([done.code, done.out, done.err]).toEqual([code, "", expect.stringContaining(err)]);
  expect(readdirSync(join(store, "catalog"))).toHaveLength(1);
});

test("a removal takes a plan, is refused while it is used, and is undone by rollback", async () => {
  using folder = tempFolder();
  const store = await filled(folder.path, ["tiny"], 2);
  const plan = join(folder.path, "plan.json");
  const run = (...args: string[]) => here([...args, "--store", store]);
  expect(await run("remove", "tiny@2", "--plan", plan)).toMatchObject({ code: 0, out: expect.stringContaining("releases revision 2") });
  expect(await verified(store)).toEqual(["tiny 2", "tiny 1"]);
  expect(await run("remove", "--apply", plan)).toMatchObject({ code: 3, err: expect.stringContaining("tiny is used: latest/stable") });
  expect((await run("release", "tiny", "1", "stable")).code).toBe(0);
  expect(await run("remove", "--apply", plan)).toMatchObject({ code: 12, err: expect.stringContaining("the plan is of generation 2") });
  expect((await run("remove", "tiny@2", "--plan", plan)).out).not.toContain("used:");
  expect(await run("remove", "--apply", plan)).toMatchObject({ code: 0, out: expect.stringContaining("undo: chp rollback 3") });
  expect(await verified(store)).toEqual(["tiny 1"]);
  expect((await run("remove", "tiny", "--plan", plan)).code).toBe(0);
  expect((await run("remove", "--apply", plan, "--force")).code).toBe(0);
  expect(await verified(store)).toEqual([]);
  expect((await run("rollback", "3")).code).toBe(0);
  expect(await verified(store)).toEqual(["tiny 2", "tiny 1"]);
  expect(await run("remove", "nope", "--plan", plan)).toMatchObject({ code: 1 });
  expect(await run("remove", "tiny@9", "--plan", plan)).toMatchObject({ code: 1 });
  expect(await run("remove")).toMatchObject({ code: 2 });
  writeFileSync(plan, "{}");
  expect(await run("remove", "--apply", plan)).toMatchObject({ code: 2, err: expect.stringContaining("is not a plan") });
});

test("a charm that was built here is deployed by name, with the same id for ever", async () => {
  using folder = tempFolder();
  const [store, file] = [join(folder.path, "store"), join(folder.path, "mine.charm")];
  const served = await serve(store);
  const deployed = async () => {
    const action = { action: "install", "instance-key": "k", name: "mine", channel: "latest/edge", base: JAMMY };
    const reply = await fetch(`${served.url}/v2/charms/refresh`, {
      method: "POST",
      body: JSON.stringify({ context: [], actions: [action] }),
    });
    const text = await reply.text();
    return [text.match(/"id":"([^"]+)"/)?.[1], text.match(/"revision":(\d+)/)?.[1], text.match(/"url":"([^"]+)"/)?.[1] ?? ""] as const;
  };
  const ids = new Set<string | undefined>();
  for (const content of ["one", "two"]) {
    writeFileSync(file, charmZip({ name: "mine", revision: 0, bases: [JAMMY], files: { "src/charm.py": content } }));
    expect(await chp(["import", file, "--channel", "latest/edge", "--store", store])).toMatchObject({ code: 0 });
    const [id, revision, url] = await deployed();
    ids.add(id);
    expect([revision, Buffer.from(await (await fetch(url)).arrayBuffer())]).toEqual([content === "one" ? "1" : "2", readFileSync(file)]);
  }
  expect([ids.size, ids.has(undefined)]).toEqual([1, false]);
  await served.stop();
});

test("what no kept generation names is moved to trash and then freed; a pruned generation can't be rolled back to", async () => {
  using folder = tempFolder();
  const store = await filled(folder.path, ["tiny"], 3);
  expect((await here(["gc", "--store", store])).out).toContain("generations: 3 kept (from 1 on), 0 pruned");
  const dry = JSON.parse((await here(["gc", "--dry-run", "--json", "--store", store, ...NOW])).out);
  expect(dry).toMatchObject({ dryRun: true, pruned: [1], deleted: { blobs: 0 } });
  expect(readdirSync(join(store, "catalog"))).toHaveLength(3);
  expect(JSON.parse((await here(["gc", "--json", "--store", store, ...NOW])).out)).toMatchObject({ pruned: [1], aside: dry.aside });
  expect(readdirSync(join(store, "trash"))).toHaveLength(dry.aside.blobs);
  expect(JSON.parse((await here(["gc", "--json", "--store", store, ...NOW])).out)).toMatchObject({ deleted: dry.aside });
  expect(readdirSync(join(store, "trash"))).toEqual([]);
  const done = await here(["rollback", "1", "--store", store]);
  expect([done.code, done.err]).toEqual([1, expect.stringContaining("generation 1 was pruned")]);
  expect(await verified(store)).toEqual(["tiny 3", "tiny 2", "tiny 1"]);
});

test("a backup has all of it, secrets with their modes, and is restored into an empty place", async () => {
  using folder = tempFolder();
  const store = await filled(folder.path, ["tiny", "two"], 2);
  await here(["config", "--store", store, "proxy.oci-registry.domain=r.test", "proxy.oci-registry.password=hush"]);
  await here(["import-certificate", "--selfsigned", "--store", store]);
  const [backup, back] = [join(folder.path, "backup"), join(folder.path, "back")];
  const made = await chp(["backup", backup, "--store", store]);
  expect([made.code, made.out]).toEqual([0, expect.stringContaining("secrets/ociSecret.")]);
  expect(made.out).toMatch(/files: \d+ hard links, 0 copies/);
  const again = await here(["backup", backup, "--store", store]);
  expect([again.code, again.out]).toEqual([0, expect.stringContaining("files: 0 hard links, 0 copies")]);
  expect((await chp(["restore", backup, "--store", back])).code).toBe(0);
  expect(await verified(back)).toEqual(await verified(store));
  const { file: newest, secrets } = storedSettings(store);
  const settings = [newest, ...Object.values(secrets).map(({ file }) => file)].map((path) => relative(store, path));
  expect(settings).toHaveLength(4);
  for (const file of ["format.json", "catalog/0000000001.json", ...settings]) {
    expect(readFileSync(join(back, file), "utf8")).toBe(readFileSync(join(store, file), "utf8"));
    expect(statSync(join(back, file)).mode).toBe(statSync(join(store, file)).mode);
  }
  expect((await here(["restore", backup, "--store", store])).code).toBe(0); // an earlier copy of itself gets what is missing: nothing
  expect((await here(["restore", join(folder.path, "nothing"), "--store", join(folder.path, "new")])).code).toBe(1);
  expect((await here(["release", "tiny", "1", "stable", "--store", back])).code).toBe(0);
  const over = await here(["restore", backup, "--store", back]);
  expect([over.code, over.err]).toEqual([2, expect.stringContaining("is newer than all of")]);
  expect(await verified(store)).toHaveLength(4);
});

test("kill -9 in the middle of any change: nothing that was published is lost", async () => {
  using folder = tempFolder();
  const store = await filled(folder.path, ["ada", "bob", "cid"], 3);
  const commands = (i: number): string[][] => [
    ["gc", ...NOW],
    ["release", "ada", String(1 + (i % 3)), "latest/edge"],
    [
      "rollback",
      String(
        readdirSync(join(store, "catalog"))
          .toSorted()
          .map((name) => Number.parseInt(name, 10))
          .at(-2) ?? 1,
      ),
    ],
    ["import", join(folder.path, `${1 + (i % 3)}.tar.gz`)],
    ["config", `public-url=http://h${i}.test`],
    ["import", join(folder.path, "dan.tar.gz")],
    ["remove", "--apply", plan, "--force"],
    ["override", "bob", String(1 + (i % 3)), "latest/stable", "--reason", `round ${i}`, "--until", "2999-12-31"],
    ["end-override", "bob", "latest/stable"],
  ];
  writeFileSync(join(folder.path, "dan.tar.gz"), exportOf([spec("dan", 1)]));
  const plan = join(folder.path, "plan.json");
  const rounds = Number(process.env["CHP_KILLS"] ?? runs(40));
  let killed = 0;
  for (let i = 0; i < rounds; i += 1) {
    const all = commands(i);
    if (all[i % all.length]?.[0] === "remove") await here(["remove", "dan", "--plan", plan, "--store", store]);
    const child = spawn([...(all[i % all.length] ?? []), "--store", store]);
    if (await killedAt(1 + ((i * 7) % 13), store, child)) killed += 1;
    const held = (await verified(store)).filter((one) => one !== "dan 1"); // which comes and goes
    expect(held.toSorted()).toEqual(["ada", "bob", "cid"].flatMap((name) => [1, 2, 3].map((n) => `${name} ${n}`)));
    if (existsSync(join(store, "settings"))) storedSettings(store);
  }
  expect(killed).toBeGreaterThan(rounds / 3);
});

test("gc during downloads and imports breaks none of them", async () => {
  using folder = tempFolder();
  const store = await filled(folder.path, ["ada", "bob"], 2);
  const served = await serve(store);
  const importing = new AbortController();
  let downloads = 0;
  const collect = (async () => {
    while (!importing.signal.aborted) expect(await chp(["gc", "--store", store, ...NOW])).toMatchObject({ code: 0 });
  })();
  const download = (async () => {
    while (!importing.signal.aborted) {
      for (const name of ["ada", "bob"]) {
        const reply = await fetch(`${served.url}/api/v1/charms/download/${name.padEnd(32, "0")}_1.charm`);
        expect([reply.status, (await reply.arrayBuffer()).byteLength > 0]).toEqual([200, true]);
        downloads += 1;
      }
    }
  })();
  for (let revision = 3; revision < 12; revision += 1) {
    const file = join(folder.path, `${revision}.tar.gz`);
    writeFileSync(file, exportOf(["ada", "bob"].map((name) => spec(name, revision))));
    expect(await here(["import", "--store", store, file])).toMatchObject({ code: 0 });
    await verified(store);
  }
  importing.abort();
  await Promise.all([collect, download]);
  expect(downloads).toBeGreaterThan(10);
  expect(await verified(store)).toHaveLength(22);
  expect(await served.stop()).toBe(0);
});
