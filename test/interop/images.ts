/**
 * A real registry and the real skopeo: what chp images says of it, the script that it prints, and what doctor makes of it. Ends with
 * `N passed, N failed, N skipped`.
 */

import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { base, charmZip, exportOf, imageBlob } from "../build.ts";
import { chp } from "../e2e/chp.ts";
import { check, equal, finish, skip } from "./checks.ts";
import { REGISTRY_LOGIN as LOGIN, startRegistry, REGISTRY_TLS as TLS } from "./dockerregistry.ts";

const FOLDER = resolve(".run/images");
const TOOLS = ["docker-registry", "skopeo"];

function skopeo(...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["skopeo", ...args]);
  if (exitCode !== 0) throw new Error(`skopeo ${args[0]}: ${stderr.toString()}`);
  return stdout.toString();
}

/** An image of two architectures, as skopeo keeps one in a folder; gives its digest. */
function makeImage(folder: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  const put = (content: string | Uint8Array, suffix = "") => {
    const hex = createHash("sha256").update(content).digest("hex");
    writeFileSync(join(folder, `${hex}${suffix}`), content);
    return { digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
  };
  const layer = Bun.gzipSync(Buffer.from(text.padEnd(1024, "\0")));
  const manifests = ["amd64", "arm64"].map((architecture) => {
    const config = {
      architecture,
      os: "linux",
      rootfs: { type: "layers", diff_ids: [`sha256:${createHash("sha256").update(text).digest("hex")}`] },
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/vnd.oci.image.config.v1+json", ...put(JSON.stringify(config)) },
      layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", ...put(layer) }],
    };
    return { mediaType: manifest.mediaType, ...put(JSON.stringify(manifest), ".manifest.json"), platform: { architecture, os: "linux" } };
  });
  const index = JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests });
  writeFileSync(join(folder, "manifest.json"), index);
  writeFileSync(join(folder, "version"), "Directory Transport Version: 1.1\n");
  return `sha256:${createHash("sha256").update(index).digest("hex")}`;
}

const NAMES = ["plain", "moved", "gone"] as const;

function toUpstream(upstream: string, work: string, name: string, digest: string): void {
  const options = ["-q", "--all", "--preserve-digests", "--dest-tls-verify=false"];
  skopeo("copy", ...options, `dir:${join(work, name)}`, `docker://${upstream}/charm/x/${name}@${digest}`);
}

/**
 * A charm with an image of its own path, one whose path the export's yaml names, and one that upstream does not have yet; gives their
 * digests. `revision`: of the resource `moved`.
 */
function makeExport(upstream: string, work: string, revision = 1): Record<(typeof NAMES)[number], string> {
  const jammy = base("amd64", "22.04");
  const entries = NAMES.map((name) => [name, makeImage(join(work, name), `${name} ${work} ${revision}`)] as const);
  const digests = Object.fromEntries(entries) as Record<(typeof NAMES)[number], string>;
  for (const name of ["plain", "moved"] as const) toUpstream(upstream, work, name, digests[name]);
  const numbers = { plain: 1, moved: revision, gone: 1 };
  const spec = {
    name: "app",
    id: "AppAppAppAppAppAppAppAppAppAppAp",
    type: "charm" as const,
    revisions: {
      1: charmZip({
        name: "app",
        revision: 1,
        bases: [jammy],
        resources: Object.fromEntries(NAMES.map((name) => [name, { type: "oci-image" }])),
      }),
    },
    bases: { 1: [jammy] },
    resources: Object.fromEntries(
      NAMES.filter((name) => name === "moved" || revision === 1).map((name) => [
        name,
        { type: "oci-image" as const, revisions: { [numbers[name]]: imageBlob(`${upstream}/charm/x/${name}@${digests[name]}`) } },
      ]),
    ),
    releases: [{ channel: "latest/stable", base: jammy, revision: 1, resources: numbers }],
  };
  const yaml = "applications:\n  app:\n    charm: app\n    resources:\n      moved: team/moved:local\n";
  writeFileSync(join(work, `export${revision}.tar.gz`), exportOf([spec], yaml));
  return digests;
}

async function roundTrip(name: string, tls: boolean, upstream: string): Promise<void> {
  const local = await startRegistry(join(FOLDER, `registry-${name}`), { login: true, tls });
  const work = join(FOLDER, `work-${name}`);
  const store = join(work, "store");
  mkdirSync(work, { recursive: true });
  const env = {
    CHP_OCI_REGISTRY_DOMAIN: local.domain,
    CHP_OCI_REGISTRY_USERNAME: LOGIN.username,
    CHP_OCI_REGISTRY_PASSWORD: LOGIN.password,
    ...(tls && { SSL_CERT_FILE: join(TLS, "cert.pem") }),
  };
  const WRITES = { REGISTRY_USERNAME: LOGIN.username, REGISTRY_PASSWORD: LOGIN.password };
  /** of each image, by what the charm calls it */
  const states = async (also: Readonly<Record<string, string>> = {}) => {
    const done = await chp(["images", "--store", store, "--json"], { env: { ...env, ...also } });
    const rows = JSON.parse(done.out) as { registry: string; neededBy: { resource: string; revision: number }[] }[];
    return Object.fromEntries(rows.map((one) => [`${one.neededBy[0]?.resource} ${one.neededBy[0]?.revision}`, one.registry]));
  };
  const writeScript = async (...args: string[]) =>
    writeFileSync(join(work, "images.sh"), (await chp(["images", "--store", store, ...args, "--script", "skopeo"], { env })).out);
  const sh = (line: string, also: Readonly<Record<string, string>> = {}) => {
    const given = { UPSTREAM_TLS_VERIFY: "false", REGISTRY_TLS_VERIFY: "false", RETRIES: "1", PAUSE: "0", ...also };
    const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "images.sh", ...line.split(" ")], {
      cwd: work,
      env: { ...process.env, ...given },
    });
    const out = stdout.toString();
    return { code: exitCode, sum: out.trimEnd().split("\n").at(-1), err: stderr.toString() };
  };
  /** Exit code and sum of a run, and what its errors must say. */
  const expects = ({ code, sum, err }: ReturnType<typeof sh>, wanted: readonly [number, string], ...says: readonly string[]) => {
    if (code !== wanted[0] || sum !== wanted[1]) throw new Error(`exit ${code}, ${sum}: ${err}`);
    for (const one of says) if (!err.includes(one)) throw new Error(`${err} does not say ${one}`);
  };
  const digestAt = (reference: string) => {
    const creds = `${LOGIN.username}:${LOGIN.password}`;
    const raw = skopeo("inspect", "--raw", "--tls-verify=false", "--creds", creds, `docker://${local.domain}/${reference}`);
    return `sha256:${createHash("sha256").update(raw).digest("hex")}`;
  };
  const absent = { "gone 1": "absent", "moved 1": "absent", "plain 1": "absent" };
  const present = { "gone 1": "present", "moved 1": "present", "plain 1": "present" };
  const digests = makeExport(upstream, work);
  try {
    await check(`${name}: import the charm`, async () =>
      equal((await chp(["import", "--store", store, join(work, "export1.tar.gz")])).code, 0),
    );
    await check(`${name}: the registry has none of the images`, async () => equal(sorted(await states()), absent));
    await check(`${name}: doctor names them and exits 1`, async () => {
      const done = await chp(["doctor", "--store", store, "--json"], { env });
      const found = (JSON.parse(done.out) as { findings: { check: string }[] }).findings.map((one) => one.check);
      equal([done.code, found], [1, ["images", "images", "images"]]);
    });
    await check(`${name}: the script fetches on the connected side, and goes on after the image that upstream does not have`, async () => {
      await writeScript("--missing");
      const done = sh("fetch");
      expects(done, [4, "fetch: 2 copied, 0 present before, 1 left"], `charm/x/gone@${digests.gone}: it could not be fetched\n`);
      equal(done.err.match(/trying it again/g)?.length, 1);
    });
    await check(`${name}: without the login nothing is pushed`, async () => {
      expects(sh("push"), [4, "push: 0 copied, 0 present before, 3 left"], "run it again: sh images.sh push\n");
      equal(sorted(await states()), absent);
    });
    await check(`${name}: the script pushes, with the login of the environment, all but the one that is not there`, async () => {
      expects(sh("push", WRITES), [4, "push: 2 copied, 0 present before, 1 left"], "is not here: sh images.sh fetch brings it\n");
      equal(sorted(await states()), { ...present, "gone 1": "absent" });
    });
    await check(`${name}: once upstream has it, the same two commands bring it alone`, async () => {
      toUpstream(upstream, work, "gone", digests.gone);
      expects(sh("fetch"), [0, "fetch: 1 copied, 2 present before, 0 left"]);
      expects(sh("push", WRITES), [0, "push: 1 copied, 2 present before, 0 left"]);
      equal(sorted(await states()), present);
    });
    await check(`${name}: doctor finds nothing missing`, async () => equal((await chp(["doctor", "--store", store], { env })).code, 0));
    await check(`${name}: all architectures are there under the digests of upstream`, () => {
      equal([digestAt(`charm/x/plain@${digests.plain}`), digestAt("team/moved:local")], [digests.plain, digests.moved]);
    });
    await check(`${name}: the next image under the same name leaves what is there, unless it is to be replaced`, async () => {
      const later = makeExport(upstream, work, 2);
      equal((await chp(["import", "--store", store, join(work, "export2.tar.gz")])).code, 0);
      equal(sorted(await states()), { ...present, "moved 2": "different" });
      await writeScript("--missing");
      expects(sh("fetch"), [0, "fetch: 1 copied, 0 present before, 0 left"]);
      const left = "push: 0 copied, 0 present before, 1 left";
      expects(
        sh("push", WRITES),
        [4, left],
        `has another image under that name, ${digests.moved}: OVERWRITE=true sh images.sh push 1 replaces it\n`,
      );
      equal(digestAt("team/moved:local"), digests.moved);
      expects(sh("push 1", { ...WRITES, OVERWRITE: "true" }), [0, "push: 1 copied, 0 present before, 0 left"]);
      equal(digestAt("team/moved:local"), later.moved);
      equal(sorted(await states()), { ...present, "moved 1": "different", "moved 2": "present" });
    });
    await check(`${name}: two images under one name are not pushed over each other`, async () => {
      const before = digestAt("team/moved:local");
      await writeScript();
      expects(sh("fetch"), [0, "fetch: 0 copied, 4 present before, 0 left"]);
      const { code, err } = sh("push", { ...WRITES, OVERWRITE: "true" });
      equal([code, err.match(/^image \d failed: team\/moved:local: image \d has the same name/gm)?.length], [4, 2]);
      equal(digestAt("team/moved:local"), before);
    });
    await check(`${name}: a login that is refused is no answer`, async () =>
      equal(Object.values(await states({ CHP_OCI_REGISTRY_PASSWORD: "other" })), Array(4).fill("unknown")),
    );
  } finally {
    await local.stop();
  }
}

function sorted(states: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(states).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const lacks = TOOLS.filter((tool) => Bun.which(tool) === null);
if (lacks.length > 0 && process.env["CI"] !== "true") {
  skip(`a real registry: ${lacks.join(" and ")} not installed (apt-get install ${lacks.join(" ")})`);
} else {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  await check("run it to the end", async () => {
    const upstream = await startRegistry(join(FOLDER, "upstream"));
    try {
      await roundTrip("HTTP", false, upstream.domain);
      await roundTrip("TLS", true, upstream.domain);
    } finally {
      await upstream.stop();
    }
  });
}
finish();
