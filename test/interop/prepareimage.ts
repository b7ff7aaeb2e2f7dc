/** `snap prepare-image`, as ubuntu-image runs it: the snaps of a model's image from a store that the environment names. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Done, tempFolder } from "../e2e/chp.ts";
import type { Check } from "./cli.ts";
import { sha256 } from "./expect.ts";
import type { SnapCommand } from "./snap.ts";

const MODEL = "model series=16 brand-id=acme-inc model=box";

/** Options, and the snaps that the image must have besides snapd and their base. */
const IMAGES: readonly (readonly [options: string, snaps: readonly string[]])[] = [
  ["--snap=hello", ["hello_5.snap"]],
  ["--snap=hello=edge", ["hello_6.snap"]],
  ["--channel=edge --snap=hello --snap=all1", ["all1_4.snap", "hello_6.snap"]],
];

const REFUSALS: readonly (readonly [options: string, says: string])[] = [
  // It is for devices of the model's store, and who prepares an image is none.
  ["--snap=branded", 'cannot download snap "branded": snap not found'],
  ["--snap=no-such-snap", "snap not found"],
  ["--snap=hello=9.9/stable", "no snap revision available as specified"],
];

/** The store at `url` holds `world`, signed below the test root, and the model. */
export async function prepareImages({ name, executable }: SnapCommand, url: string, world: string, check: Check): Promise<void> {
  const run = async (args: readonly string[], cwd: string): Promise<Done> => {
    const env = { HOME: cwd, PATH: process.env["PATH"] ?? "", SNAPPY_GLOBAL_ROOT: cwd, UBUNTU_STORE_URL: url, SNAPPY_FORCE_API_URL: url };
    const child = Bun.spawn([executable, ...args], {
      cwd,
      env: args[0] === "known" ? env : { ...env, SNAPPY_FORCE_API_URL: "" },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    return { code, out, err };
  };
  const prepared = async (options: string, cwd: string): Promise<Done> => {
    const known = await run(["known", "--remote", ...MODEL.split(" ")], cwd);
    if (known.code !== 0) throw new Error(known.err);
    writeFileSync(join(cwd, "box.model"), known.out);
    mkdirSync(join(cwd, "image"));
    return run(
      ["prepare-image", "--classic", "--arch=amd64", "--snap=snapd", "--snap=core22", ...options.split(" "), "box.model", "image"],
      cwd,
    );
  };
  for (const [options, snaps] of IMAGES)
    await check(`${name} prepare-image ${options}`, async () => {
      using folder = tempFolder();
      const { code, err } = await prepared(options, folder.path);
      if (code !== 0) throw new Error(`exit ${code}: ${err}`);
      const seed = join(folder.path, "image/var/lib/snapd/seed");
      const got = readdirSync(join(seed, "snaps")).toSorted();
      const wanted = [...snaps, "core22_1.snap", "snapd_1.snap"].toSorted();
      if (got.join() !== wanted.join()) throw new Error(`the image has ${got.join()}, expected ${wanted.join()}`);
      for (const file of got)
        if (sha256(readFileSync(join(seed, "snaps", file))) !== sha256(readFileSync(join(world, file)))) throw new Error(`${file} differs`);
      for (const snap of snaps)
        if (!readFileSync(join(seed, "seed.yaml"), "utf8").includes(`file: ${snap}`)) throw new Error(`seed.yaml does not list ${snap}`);
    });
  for (const [options, says] of REFUSALS)
    await check(`${name} prepare-image ${options} is refused`, async () => {
      using folder = tempFolder();
      const { code, err } = await prepared(options, folder.path);
      if (code === 0 || !err.includes(says)) throw new Error(`exit ${code}: ${err}`);
    });
}
