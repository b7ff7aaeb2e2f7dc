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

/** A charm with an image of its own path, and one whose path the export's yaml names; gives their digests. */
function makeExport(upstream: string): string[] {
  const jammy = base("amd64", "22.04");
  const digests = ["plain", "moved"].map((name) => {
    const digest = makeImage(join(FOLDER, name), name);
    skopeo(
      "copy",
      "-q",
      "--all",
      "--preserve-digests",
      "--dest-tls-verify=false",
      `dir:${join(FOLDER, name)}`,
      `docker://${upstream}/charm/x/${name}@${digest}`,
    );
    return digest;
  });
  const [plain = "", moved = ""] = digests;
  const spec = {
    name: "app",
    id: "AppAppAppAppAppAppAppAppAppAppAp",
    type: "charm" as const,
    revisions: {
      1: charmZip({ name: "app", revision: 1, bases: [jammy], resources: { plain: { type: "oci-image" }, moved: { type: "oci-image" } } }),
    },
    bases: { 1: [jammy] },
    resources: {
      plain: { type: "oci-image" as const, revisions: { 1: imageBlob(`${upstream}/charm/x/plain@${plain}`) } },
      moved: { type: "oci-image" as const, revisions: { 1: imageBlob(`${upstream}/charm/x/moved@${moved}`) } },
    },
    releases: [{ channel: "latest/stable", base: jammy, revision: 1, resources: { plain: 1, moved: 1 } }],
  };
  writeFileSync(
    join(FOLDER, "export.tar.gz"),
    exportOf([spec], "applications:\n  app:\n    charm: app\n    resources:\n      moved: team/moved:local\n"),
  );
  return digests;
}

async function roundTrip(name: string, tls: boolean, digests: readonly string[]): Promise<void> {
  const local = await startRegistry(join(FOLDER, `registry-${name}`), { login: true, tls });
  const store = join(FOLDER, "store");
  const work = join(FOLDER, `work-${name}`);
  mkdirSync(work, { recursive: true });
  const env = {
    CHP_OCI_REGISTRY_DOMAIN: local.domain,
    CHP_OCI_REGISTRY_USERNAME: LOGIN.username,
    CHP_OCI_REGISTRY_PASSWORD: LOGIN.password,
    ...(tls && { SSL_CERT_FILE: join(TLS, "cert.pem") }),
  };
  const states = async (also: Readonly<Record<string, string>> = {}) => {
    const done = await chp(["images", "--store", store, "--json"], { env: { ...env, ...also } });
    return (JSON.parse(done.out) as { registry: string }[]).map((one) => one.registry);
  };
  const sh = (word: string, also: Readonly<Record<string, string>>) => {
    const { exitCode, stderr } = Bun.spawnSync(["sh", "images.sh", word], { cwd: work, env: { ...process.env, ...also } });
    if (exitCode !== 0) throw new Error(stderr.toString());
  };
  try {
    await check(`${name}: the registry has none of the images`, async () => equal(await states(), ["absent", "absent"]));
    await check(`${name}: doctor names them and exits 1`, async () => {
      const done = await chp(["doctor", "--store", store, "--json"], { env });
      const found = (JSON.parse(done.out) as { findings: { check: string }[] }).findings.map((one) => one.check);
      equal([done.code, found], [1, ["images", "images"]]);
    });
    await check(`${name}: the script fetches on the connected side`, async () => {
      const { out } = await chp(["images", "--store", store, "--missing", "--script", "skopeo"], { env });
      writeFileSync(join(work, "images.sh"), out);
      sh("fetch", { UPSTREAM_TLS_VERIFY: "false" });
    });
    await check(`${name}: without the login nothing is pushed`, async () => {
      const refused = await Promise.resolve()
        .then(() => sh("push", { REGISTRY_TLS_VERIFY: "false" }))
        .then(() => "pushed")
        .catch(() => "refused");
      equal([refused, ...(await states())], ["refused", "absent", "absent"]);
    });
    await check(`${name}: the script pushes, with the login of the environment`, () =>
      sh("push", { REGISTRY_TLS_VERIFY: "false", REGISTRY_USERNAME: LOGIN.username, REGISTRY_PASSWORD: LOGIN.password }),
    );
    await check(`${name}: the registry has both, by digest and by tag`, async () => equal(await states(), ["present", "present"]));
    await check(`${name}: doctor finds nothing missing`, async () => equal((await chp(["doctor", "--store", store], { env })).code, 0));
    await check(`${name}: all architectures are there under the digests of upstream`, () => {
      for (const [reference, digest] of [
        [`charm/x/plain@${digests[0]}`, digests[0]],
        ["team/moved:local", digests[1]],
      ]) {
        const creds = `${LOGIN.username}:${LOGIN.password}`;
        const raw = skopeo("inspect", "--raw", "--tls-verify=false", "--creds", creds, `docker://${local.domain}/${reference}`);
        equal(`sha256:${createHash("sha256").update(raw).digest("hex")}`, digest);
      }
    });
    await check(`${name}: a login that is refused is no answer`, async () =>
      equal(await states({ CHP_OCI_REGISTRY_PASSWORD: "other" }), ["unknown", "unknown"]),
    );
  } finally {
    await local.stop();
  }
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
      const digests = makeExport(upstream.domain);
      const imported = await chp(["import", "--store", join(FOLDER, "store"), join(FOLDER, "export.tar.gz")]);
      equal(imported.code, 0);
      await roundTrip("HTTP", false, digests);
      await roundTrip("TLS", true, digests);
    } finally {
      await upstream.stop();
    }
  });
}
finish();
