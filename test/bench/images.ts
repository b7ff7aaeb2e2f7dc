/** Images: pulls beside nginx and docker-registry, and an import beside the copy by which one fills docker-registry. */

import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { LAYOUT_FILE, LAYOUT_TEXT, layoutBlobPath, REF_NAME } from "../../src/archives/imagemanifest.ts";
import type { Digest } from "../../src/digest.ts";
import { tarEntry } from "../build.ts";
import { MIB } from "./exports.ts";
import { beside, inTurns, type Report } from "./figures.ts";
import { peakMemory, run, runChp, runClient, serveChp, serveDockerRegistry, serveNginx, tool } from "./processes.ts";

const SMALL = 200;
const NAME = "team/app";

interface Archive {
  readonly file: string;
  readonly layers: readonly Digest[];
}

/** An oci-archive of one image with these layers, which do not compress. */
function writeImage(file: string, layers: readonly { readonly size: number; readonly seed: string }[]): Archive {
  const out = openSync(file, "w");
  const block = Buffer.alloc(MIB);
  const put = (path: string, content: string | Uint8Array) => {
    const bytes = Buffer.from(content);
    writeSync(out, tarEntry(path, bytes));
  };
  const blob = (content: string) => {
    const digest = createHash("sha256").update(content).digest("hex") as Digest;
    put(layoutBlobPath(digest), content);
    return { digest: `sha256:${digest}`, size: Buffer.byteLength(content) };
  };
  const digests = layers.map(({ size, seed }) => {
    const chunkOf = (i: number, length: number) => {
      block.fill(createHash("sha512").update(`${seed} ${i}`).digest());
      return block.subarray(0, length);
    };
    const chunks = Array.from({ length: Math.ceil(size / MIB) }, (_, i) => Math.min(MIB, size - i * MIB));
    const hash = createHash("sha256");
    for (const [i, length] of chunks.entries()) hash.update(chunkOf(i, length));
    const digest = hash.digest("hex") as Digest;
    writeSync(out, tarEntry(layoutBlobPath(digest), "", { size }).subarray(0, 512));
    for (const [i, length] of chunks.entries()) writeSync(out, chunkOf(i, length));
    writeSync(out, Buffer.alloc((512 - (size % 512)) % 512));
    return digest;
  });
  const config = {
    mediaType: "application/vnd.oci.image.config.v1+json",
    ...blob(
      JSON.stringify({
        architecture: "amd64",
        os: "linux",
        rootfs: { type: "layers", diff_ids: digests.map((digest) => `sha256:${digest}`) },
      }),
    ),
  };
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = blob(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config,
      layers: digests.map((digest, i) => ({
        mediaType: "application/vnd.oci.image.layer.v1.tar",
        digest: `sha256:${digest}`,
        size: layers[i]?.size,
      })),
    }),
  );
  put(LAYOUT_FILE, LAYOUT_TEXT);
  put(
    "index.json",
    JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, ...manifest, annotations: { [REF_NAME]: `${NAME}:1` } }] }),
  );
  writeSync(out, Buffer.alloc(1024));
  closeSync(out);
  return { file, layers: digests };
}

export async function images(report: Report, folder: string, { rounds, mib }: { readonly rounds: number; readonly mib: number }) {
  const root = join(folder, "images");
  mkdirSync(root);
  const large = writeImage(join(root, "large.tar"), [{ size: mib * MIB, seed: "large" }]);
  const many = writeImage(
    join(root, "many.tar"),
    Array.from({ length: SMALL }, (_, i) => ({ size: 4096 + i, seed: `small ${i}` })),
  );
  const skopeo = await tool("skopeo");
  const curl = await tool("curl");
  const own = (digest: Digest) => `/v2/${NAME}/blobs/sha256:${digest}`;
  const push = (domain: string, archive: Archive, tag: string) =>
    run([
      skopeo,
      "--insecure-policy",
      "copy",
      "-q",
      "--dest-tls-verify=false",
      `oci-archive:${archive.file}`,
      `docker://${domain}/${NAME}:${tag}`,
    ]);
  const importIt = (store: string, archive: Archive) => runChp(["import", "--quiet", "--store", store, archive.file]);

  const name = `import of an image of ${mib} MiB`;
  await report.measure(name, async () => {
    let turn = 0;
    const pairs = await inTurns(
      Math.min(rounds, 3),
      async () => {
        turn += 1;
        const store = join(root, `import-${turn}`);
        const { seconds } = await importIt(store, large);
        rmSync(store, { recursive: true });
        return seconds;
      },
      async () => {
        const at = join(root, `registry-${turn}`);
        const registry = await serveDockerRegistry(at);
        try {
          return (await push(registry.domain, large, "1")).seconds;
        } finally {
          await registry.stop();
          rmSync(at, { recursive: true });
        }
      },
    );
    report.figure(
      beside(
        pairs,
        { name, unit: "MiB/s", peer: "skopeo copy into docker-registry" },
        (one) => mib / one,
        (one) => mib / one,
      ),
    );
  });

  const store = join(root, "store");
  await importIt(store, large);
  await importIt(store, many);
  await using chp = await serveChp(store, { log: join(root, "log") });
  const fetched = (urls: readonly string[]) => async () => {
    const started = performance.now();
    const { out } = await runClient([curl, "-sS", "-w", "%{http_code}\n", ...urls.flatMap((url) => ["-o", "/dev/null", url])]);
    if (out !== "200\n".repeat(urls.length)) throw new Error(`not all of ${urls.length} blobs were sent`);
    return (performance.now() - started) / 1000;
  };

  const layer = `pull of a layer of ${mib} MiB`;
  await report.measure(layer, async () => {
    const [digest = "" as Digest] = large.layers;
    await run(["cp", join(store, "blobs/sha256", digest.slice(0, 2), digest), join(root, "payload")]);
    await using nginx = await serveNginx(join(root, "nginx"), root);
    const [mine, peer] = [fetched([chp.url + own(digest)]), fetched([`${nginx.url}/payload`])];
    for (const warm of [mine, peer]) await warm();
    const pairs = await inTurns(rounds, mine, peer);
    report.figure(
      beside(
        pairs,
        { name: layer, unit: "MiB/s", peer: "nginx" },
        (one) => mib / one,
        (one) => mib / one,
      ),
    );
  });

  const small = `pull of ${SMALL} small blobs`;
  await report.measure(small, async () => {
    const registry = await serveDockerRegistry(join(root, "registry"));
    try {
      await push(registry.domain, many, "1");
      // skopeo compresses what it pushes: what docker-registry has is asked of itself.
      const { out } = await run([
        skopeo,
        "--insecure-policy",
        "inspect",
        "--raw",
        "--tls-verify=false",
        `docker://${registry.domain}/${NAME}:1`,
      ]);
      const pushed = (JSON.parse(out) as { layers: { digest: string }[] }).layers.map(
        ({ digest }) => `http://${registry.domain}/v2/${NAME}/blobs/${digest}`,
      );
      const [mine, peer] = [fetched(many.layers.map((digest) => chp.url + own(digest))), fetched(pushed)];
      for (const warm of [mine, peer]) await warm();
      const pairs = await inTurns(rounds, mine, peer);
      report.figure(
        beside(
          pairs,
          { name: small, unit: "blobs/s", peer: "docker-registry" },
          (one) => SMALL / one,
          (one) => SMALL / one,
        ),
      );
    } finally {
      await registry.stop();
    }
  });
  report.figure({ name: "pulls, memory of the server", value: peakMemory(chp.pid) / MIB, unit: "MiB" });
}
