/**
 * Real clients of the registry: the conformance program of the distribution specification, containerd as the kubelet asks it, with the
 * pull secret that Juju makes, podman, skopeo, crane, which push as well, and Juju's own client. `make pulls`; ends with `N passed, N failed, N skipped`.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Digest } from "../../src/digest.ts";
import { charmZip, imageBlob, packageFiles, tarOf } from "../build.ts";
import { chp, type Served, serve } from "../e2e/chp.ts";
import { below, type ListedImage, layoutOf } from "../layouts.ts";
import { imageOf, indexOf, type TestImage } from "../registry.ts";
import { NOBLE } from "../world.ts";
import { addCounts, check, equal, finish, skip } from "./checks.ts";
import { goIsInstalled, program } from "./program.ts";

const WORK = resolve(".run/pulls");
const TOOLS = ["containerd", "podman", "skopeo", "go"];
const LOGIN = { username: "puller", password: "it's a se$cret" };

interface Ran {
  readonly code: number;
  readonly text: string;
}

async function run(command: readonly string[], { input, env = {} }: { input?: string; env?: Record<string, string> } = {}): Promise<Ran> {
  const child = Bun.spawn([...command], {
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...env },
  });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code, text: code === 0 ? out : out + err };
}

async function done(command: readonly string[], options: Parameters<typeof run>[1] = {}): Promise<string> {
  const { code, text } = await run(command, options);
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${text.slice(-2000)}`);
  return text;
}

async function chpDone(...args: string[]): Promise<string> {
  const { code, out, err } = await chp(args);
  if (code !== 0) throw new Error(`chp ${args[0]} ended with ${code}: ${err}`);
  return out;
}

/* ---- what is served ---- */

const image = (architecture: string) => imageOf({ architecture, files: { "etc/made-for": architecture } });
const APP = indexOf([image("amd64"), image("arm64")]);
/** one architecture is left out */
const SPARSE_PARTS = [imageOf({ files: { sparse: "amd64" } }), imageOf({ architecture: "s390x", files: { sparse: "s390x" } })];
const SPARSE = indexOf(SPARSE_PARTS);
const SIGNATURE = imageOf({ artifactType: "application/vnd.dev.cosign.artifact.sig.v1+json", layers: ["signed"], subject: APP });
/** skopeo can't carry an index with such descriptors */
const WITH_ARTIFACT = indexOf([image("amd64"), imageOf({ artifactType: "application/vnd.example.sbom.v1", layers: ["parts"] })]);
const DOCKER = indexOf([imageOf({ docker: true, files: { docker: "amd64" } })], { docker: true });
const OPERATOR = indexOf(
  ["amd64", "arm64"].map((architecture) => imageOf({ architecture, docker: true, files: { operator: architecture } })),
  { docker: true },
);
const PATH = "charm/app/app-image";
const UPSTREAM = `registry.test/${PATH}@sha256:${APP.digest}`;

const LISTED: readonly ListedImage[] = [
  { image: APP, name: UPSTREAM },
  ...["latest", "1.0", "1.1", "1.2"].map((tag) => ({ image: APP, name: `registry.test/${PATH}:${tag}` })),
  { image: SIGNATURE, name: `registry.test/${PATH}@sha256:${SIGNATURE.digest}` },
  { image: SPARSE, name: "registry.test/team/sparse:1" },
  { image: WITH_ARTIFACT, name: "registry.test/team/with-artifact:1" },
  { image: DOCKER, name: "registry.test/team/docker:1" },
  { image: OPERATOR, name: "ghcr.io/juju/jujud-operator:2.9.52" },
];

function archive(): Uint8Array {
  const charm = packageFiles({
    type: "charm",
    name: "app",
    id: "AppAppAppAppAppAppAppAppAppAppAp",
    revisions: { 1: charmZip({ name: "app", revision: 1, bases: [NOBLE], resources: { image: { type: "oci-image" } } }) },
    resources: { image: { type: "oci-image", revisions: { 1: imageBlob(UPSTREAM) } } },
    releases: [{ channel: "latest/stable", base: NOBLE, revision: 1, resources: { image: 1 } }],
  });
  const without = SPARSE_PARTS.slice(1).flatMap(({ digest, blobs }) => [digest, ...blobs.keys()]);
  return tarOf({ ...below("charms/app", charm), ...below("images", layoutOf(LISTED, without)) });
}

/* ---- the clients ---- */

/** What Juju makes of the resource that chp gives it: the reference, and the pull secret of the charm's containers. */
async function pullSecret(url: string, ca: string): Promise<{ readonly image: string; readonly secret: unknown }> {
  const tls = { ca: readFileSync(ca, "utf8") };
  const body = {
    context: [],
    actions: [
      {
        "instance-key": "a",
        action: "install",
        name: "app",
        channel: "latest/stable",
        base: { name: "ubuntu", channel: "24.04", architecture: "amd64" },
      },
    ],
  };
  const reply = await fetch(`${url}/v2/charms/refresh`, { method: "POST", body: JSON.stringify(body), tls });
  const { results } = (await reply.json()) as { results: { charm: { resources: { download: { url: string } }[] } }[] };
  const blob = await (await fetch(results[0]?.charm.resources[0]?.download.url ?? "", { tls })).text();
  const secret = await program("secret29", { module: "cli29", package: "./secret" });
  return JSON.parse(await done([secret], { input: blob })) as { image: string; secret: unknown };
}

/** containerd with an empty state, and with the folder of registries that is given. */
async function startContainerd(name: string, certs: string) {
  const folder = join(WORK, name);
  mkdirSync(folder, { recursive: true });
  const socket = join(folder, "sock");
  writeFileSync(
    join(folder, "config.toml"),
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${certs}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${folder}/opt"
`,
  );
  const daemon = Bun.spawn(["containerd", "--config", join(folder, "config.toml")], {
    stdout: "ignore",
    stderr: Bun.file(join(folder, "log")),
  });
  const cri = await program("cri");
  for (let tries = 0; ; tries += 1) {
    const { text } = await run([cri, socket, "localhost/no/such:1"]);
    if (!/dial unix|unknown service/i.test(text)) break;
    if (daemon.exitCode !== null || tries > 200)
      throw new Error(`containerd does not start: ${readFileSync(join(folder, "log"), "utf8").slice(-2000)}`);
    await Bun.sleep(100);
  }
  return {
    pull: (reference: string, secret?: unknown) => {
      const file = join(folder, "secret.json");
      if (secret !== undefined) writeFileSync(file, JSON.stringify(secret));
      return run([cri, socket, reference, ...(secret === undefined ? [] : [file])]);
    },
    stop: async () => {
      daemon.kill("SIGTERM");
      await daemon.exited;
    },
  };
}

/** Runs the commands that chp trust prints for a node, with another folder in place of containerd's. */
async function prepareNode(store: string, certs: string): Promise<void> {
  const script = (await chpDone("trust", "--containerd", "--store", store, "--quiet"))
    .replaceAll("/etc/containerd/certs.d", certs)
    .replaceAll("sudo ", "");
  await done(["sh", "-eu"], { input: script });
}

async function kubelet(served: Hub, name: string): Promise<void> {
  const certs = join(WORK, `${name}-certs.d`);
  const { host, url, ca } = served;
  const { image: reference, secret } = await pullSecret(url, ca);
  await check(`${name}: Juju gets chp's own reference`, () => equal(reference, `${host}/${PATH}@sha256:${APP.digest}`));
  mkdirSync(certs, { recursive: true });
  const node = await startContainerd(`${name}-node`, certs);
  try {
    // containerd takes an address of this machine for http, unless its hosts.toml says otherwise.
    if (url.startsWith("https:"))
      await check(`${name}: a node that was not prepared can't pull`, async () => {
        const { code, text } = await node.pull(reference, secret);
        if (code === 0) throw new Error(text);
      });
    await prepareNode(served.store, certs);
    await check(`${name}: the kubelet's pull with the secret that Juju makes`, async () => {
      const { code, text } = await node.pull(reference, secret);
      if (code !== 0) throw new Error(text);
      equal((JSON.parse(text) as { digests: string[] }).digests, [reference]);
    });
    const wrong = { auths: { [host]: { Username: LOGIN.username, Password: "wrong" } } };
    for (const [what, given] of [
      ["without a login", undefined],
      ["with a wrong login", wrong],
    ] as const)
      await check(`${name}: a pull ${what} is refused`, async () => {
        const { code, text } = await node.pull(`${host}/team/docker:1`, given);
        if (code === 0 || !/401|unauthorized|no basic auth credentials|failed to authorize/i.test(text)) throw new Error(text);
      });
    for (const [what, path] of [
      ["an image of several architectures", `${PATH}:1.1`],
      ["an index that lists an architecture that is missing", "team/sparse:1"],
      ["an index with an artifact", "team/with-artifact:1"],
      ["Docker's media types", "team/docker:1"],
    ] as const)
      await check(`${name}: ${what}`, async () => {
        const { code, text } = await node.pull(`${host}/${path}`, secret);
        if (code !== 0) throw new Error(text);
      });
    await check(`${name}: an image that is missing says so`, async () => {
      const { code, text } = await node.pull(`${host}/team/nope:1`, secret);
      if (code === 0 || !/not found/.test(text)) throw new Error(text);
    });
  } finally {
    await node.stop();
  }
}

async function otherClients({ host, ca }: Hub): Promise<void> {
  const login = `${LOGIN.username}:${LOGIN.password}`;
  const certs = join(WORK, "client-certs");
  mkdirSync(certs, { recursive: true });
  writeFileSync(join(certs, "ca.crt"), readFileSync(ca));
  const raw = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest("hex");

  await check("podman pulls, and the files of the image are there", async () => {
    const storage = ["--root", join(WORK, "podman-root"), "--runroot", join(WORK, "podman-run"), "--storage-driver", "vfs"];
    await done(["podman", ...storage, "pull", "-q", "--cert-dir", certs, "--creds", login, `${host}/${PATH}:1.0`]);
    const digests = await done(["podman", ...storage, "image", "inspect", "--format", "{{json .RepoDigests}}", `${host}/${PATH}:1.0`]);
    if (!digests.includes(APP.digest)) throw new Error(digests);
  });
  await check("podman without a login is refused", async () => {
    const { code, text } = await run([
      "podman",
      "--root",
      join(WORK, "podman-root"),
      "--runroot",
      join(WORK, "podman-run"),
      "--storage-driver",
      "vfs",
      "pull",
      "-q",
      "--cert-dir",
      certs,
      `${host}/${PATH}:1.2`,
    ]);
    if (code === 0 || !/unauthorized|authentication required|a login is needed/i.test(text)) throw new Error(text);
  });
  await check("skopeo copies all architectures with their digests", async () => {
    await done([
      "skopeo",
      "copy",
      "-q",
      "--all",
      "--preserve-digests",
      "--src-cert-dir",
      certs,
      "--src-creds",
      login,
      `docker://${host}/${PATH}@sha256:${APP.digest}`,
      `dir:${join(WORK, "skopeo")}`,
    ]);
    equal(raw(readFileSync(join(WORK, "skopeo/manifest.json"), "utf8")), APP.digest);
  });
  await check("skopeo lists the tags", async () => {
    const { Tags } = JSON.parse(await done(["skopeo", "list-tags", "--cert-dir", certs, "--creds", login, `docker://${host}/${PATH}`])) as {
      Tags: string[];
    };
    equal(Tags, ["1.0", "1.1", "1.2", "latest"]);
  });
  const crane = await program("crane", { module: "registrytools", package: "github.com/google/go-containerregistry/cmd/crane" });
  const docker = join(WORK, "docker-config");
  mkdirSync(docker, { recursive: true });
  writeFileSync(join(docker, "config.json"), JSON.stringify({ auths: { [host]: { auth: Buffer.from(login).toString("base64") } } }));
  const env = { DOCKER_CONFIG: docker, SSL_CERT_FILE: ca };
  for (const [what, path, listed] of [
    ["an image", `${PATH}:1.0`, APP],
    ["an index with an artifact, which skopeo can't carry", "team/with-artifact:1", WITH_ARTIFACT],
  ] as const satisfies readonly (readonly [string, string, TestImage])[])
    await check(`crane reads the digest and the bytes of ${what}`, async () => {
      equal((await done([crane, "digest", `${host}/${path}`], { env })).trim(), `sha256:${listed.digest}`);
      equal(raw(await done([crane, "manifest", `${host}/${path}`], { env })), listed.digest);
    });
  await check("crane reads the files of a layer", async () => {
    const tar = await done([crane, "export", "--platform", "linux/arm64", `${host}/${PATH}:latest`, "-"], { env });
    if (!tar.includes("etc/made-for") || !tar.includes("arm64")) throw new Error("the file is not in it");
  });
  await check("crane lists the repositories", async () => {
    const names = (await done([crane, "catalog", host], { env })).trim().split("\n");
    equal(names, ["charm/app/app-image", "juju/jujud-operator", "team/docker", "team/sparse", "team/with-artifact"]);
  });
}

/** What a bootstrap on Kubernetes asks for: by the setting that juju-config prints. */
async function bootstrap({ store, ca, url }: Hub): Promise<void> {
  await check("Juju's registry client finds the operator's versions and architectures", async () => {
    const config = Bun.YAML.parse(await chpDone("juju-config", "--bootstrap", "--juju", "2.9", "--store", store, "--quiet")) as Record<
      string,
      string
    >;
    const client = await program("registryclient36", { module: "controller36", package: "./registryclient" });
    const found = await done([client, config["caas-image-repo"] ?? ""], { env: { SSL_CERT_FILE: ca } });
    equal(JSON.parse(found), { "2.9.52": ["amd64", "arm64"] });
    equal(config["charmhub-url"], url);
  });
}

/** Every pull case of the specification's own program, over what is stored. */
async function conformance({ host, ca }: Hub): Promise<void> {
  const tool = await program("conformance", {
    module: "registrytools",
    package: "github.com/opencontainers/distribution-spec/conformance",
  });
  const results = join(WORK, "conformance");
  const manifests = [APP, SIGNATURE].flatMap(({ manifests: all }) => [...all.keys()]);
  const blobs = [...APP.blobs.keys()];
  const digests = (all: readonly Digest[]) => all.map((digest) => `sha256:${digest}`).join(" ");
  const { text } = await run([tool], {
    env: {
      OCI_REGISTRY: host,
      OCI_TLS: "enabled",
      SSL_CERT_FILE: ca,
      OCI_REPO1: PATH,
      OCI_USERNAME: LOGIN.username,
      OCI_PASSWORD: LOGIN.password,
      OCI_API_PUSH: "false",
      OCI_API_BLOBS_DELETE: "false",
      OCI_API_MANIFESTS_DELETE: "false",
      OCI_API_TAGS_DELETE: "false",
      OCI_RO_DATA_TAGS: "latest 1.0 1.1 1.2",
      OCI_RO_DATA_MANIFESTS: digests(manifests),
      OCI_RO_DATA_BLOBS: digests(blobs),
      OCI_RO_DATA_REFERRERS: digests([APP.digest]),
      OCI_RESULTS_DIR: results,
    },
  });
  // The program of this version ends with a crash where it writes its report of a registry that is read-only; what it prints is whole.
  const counted = (word: string) => Number(new RegExp(`^  ${word}\\.*: +(\\d+)$`, "m").exec(text)?.[1]);
  const leftOut = [...text.matchAll(/^ +OCI Conformance Test\/(.*): (?:Disabled|Skip)$/gm)].map(([, name = ""]) => name);
  console.log(`conformance: ${counted("Pass")} passed, ${counted("Disabled")} left out as they write: ${[...new Set(leftOut)].join(", ")}`);
  await check("conformance: every case of pulls, tags and referrers passes", () => {
    equal([counted("FAIL"), counted("Error"), counted("Skip")], [0, 0, 0]);
    for (const api of [
      "Tag listing",
      "Blob get",
      "Blob head",
      "Manifest get by digest",
      "Manifest get by tag",
      "Manifest head by tag",
      "Referrers",
      "Ping",
    ])
      if (!new RegExp(`^  ${api}\\.*: +Pass$`, "m").test(text)) throw new Error(`${api} did not pass: ${text.slice(-3000)}`);
    const writes = /push|put|delete|upload|blobs$/;
    equal(
      leftOut.filter((name) => !writes.test(name)),
      [],
    );
  });
  addCounts({ passed: counted("Pass") || 0 });
}

/** Every push case of the specification's own program, in repositories of its own. What is deleted, and what is not sha256, chp refuses. */
async function pushConformance({ host, ca }: Hub, token: string): Promise<void> {
  const tool = await program("conformance", {
    module: "registrytools",
    package: "github.com/opencontainers/distribution-spec/conformance",
  });
  const { text } = await run([tool], {
    env: {
      OCI_REGISTRY: host,
      OCI_TLS: "enabled",
      SSL_CERT_FILE: ca,
      OCI_REPO1: "conformance/one",
      OCI_REPO2: "conformance/two",
      OCI_USERNAME: "any",
      OCI_PASSWORD: token,
      OCI_API_PUSH: "true",
      OCI_API_BLOBS_UPLOAD_CANCEL: "true",
      OCI_API_BLOBS_DELETE: "false",
      OCI_API_MANIFESTS_DELETE: "false",
      OCI_API_TAGS_DELETE: "false",
      OCI_DATA_SHA512: "false",
      OCI_RESULTS_DIR: join(WORK, "push-conformance"),
    },
  });
  const counted = (word: string) => Number(new RegExp(`^  ${word}\\.*: +(\\d+)$`, "m").exec(text)?.[1]);
  const summary = [...text.matchAll(/^  ([A-Z][\w ]+?)\.*: +(Pass|FAIL|Error|Skip|Disabled)$/gm)];
  const of = (...results: string[]) => summary.flatMap(([, name = "", result = ""]) => (results.includes(result) ? [name] : []));
  console.log(`conformance of pushes: ${counted("Pass")} passed; left out: ${of("Skip", "Disabled").join(", ")}`);
  await check("conformance: every case of pushes passes", () => {
    if (!(counted("Pass") > 400)) throw new Error(text.slice(-3000));
    equal([counted("FAIL"), counted("Error"), of("FAIL", "Error")], [0, 0, []]);
  });
  await check("conformance: what is left out has its reason", () =>
    equal(
      of("Skip", "Disabled").filter((name) => !LEFT_OUT.some((reason) => reason.test(name))),
      [],
    ),
  );
  addCounts({ passed: counted("Pass") || 0 });
}

/** What chp refuses by intent. */
const LEFT_OUT = [
  /delete/, // clients delete nothing
  /sha512/, // only sha256
  /^Blob anonymous mount$/, // a blob is taken over from a repository that is named
  /^Sparse Manifests$/, // what a manifest names has to be there
  /tag param/i, // of a later version of the specification
];

/** The clients that push, by a token as the password; a hub whose login for pulls may not. */
async function pushes({ host, ca, store }: Hub): Promise<void> {
  const token = (await chpDone("token", "ci", "--may", "push", "--store", store, "--quiet")).trim();
  const certs = join(WORK, "push-certs");
  mkdirSync(certs, { recursive: true });
  writeFileSync(join(certs, "ca.crt"), readFileSync(ca));
  await chpDone("config", "--store", store, "registry.push=on");
  await untilPushIsOn(host, ca);
  await pushConformance({ host, ca, store, url: `https://${host}` }, token);
  const fetched = ["--src-cert-dir", certs, "--src-creds", `${LOGIN.username}:${LOGIN.password}`];
  const copy = (to: string, login: string, more: readonly string[] = []) =>
    run([
      "skopeo",
      "copy",
      "-q",
      ...more,
      ...fetched,
      "--dest-cert-dir",
      certs,
      "--dest-creds",
      login,
      `docker://${host}/${PATH}:1.0`,
      `docker://${host}/${to}`,
    ]);
  const digestAt = async (path: string) => {
    const raw = await done(["skopeo", "inspect", "--raw", "--cert-dir", certs, "--creds", `any:${token}`, `docker://${host}/${path}`]);
    return new Bun.CryptoHasher("sha256").update(raw).digest("hex");
  };
  await check("skopeo pushes all architectures, with their digests", async () => {
    const { code, text } = await copy("pushed/by-skopeo:1", `any:${token}`, ["--all", "--preserve-digests"]);
    if (code !== 0) throw new Error(text);
    equal(await digestAt("pushed/by-skopeo:1"), APP.digest);
  });
  for (const [what, login] of [
    ["the login for pulls", `${LOGIN.username}:${LOGIN.password}`],
    ["a wrong token", `any:${token}x`],
  ] as const)
    await check(`skopeo may not push with ${what}`, async () => {
      const { code, text } = await copy("pushed/by-nobody:1", login, ["--all"]);
      if (code === 0 || !/denied|unauthorized|may not push|no such token/i.test(text)) throw new Error(text);
    });
  await check("podman pushes an image", async () => {
    const storage = ["--root", join(WORK, "podman-root"), "--runroot", join(WORK, "podman-run"), "--storage-driver", "vfs"];
    await done([
      "podman",
      ...storage,
      "push",
      "-q",
      "--cert-dir",
      certs,
      "--creds",
      `any:${token}`,
      `${host}/${PATH}:1.0`,
      `docker://${host}/pushed/by-podman:1`,
    ]);
    await digestAt("pushed/by-podman:1");
  });
  const crane = await program("crane", { module: "registrytools", package: "github.com/google/go-containerregistry/cmd/crane" });
  const docker = join(WORK, "docker-push-config");
  mkdirSync(docker, { recursive: true });
  writeFileSync(
    join(docker, "config.json"),
    JSON.stringify({ auths: { [host]: { auth: Buffer.from(`any:${token}`).toString("base64") } } }),
  );
  await check("crane copies an index with an artifact, which skopeo can't carry", async () => {
    const env = { DOCKER_CONFIG: docker, SSL_CERT_FILE: ca };
    await done([crane, "copy", `${host}/team/with-artifact:1`, `${host}/pushed/by-crane:1`], { env });
    equal(await digestAt("pushed/by-crane:1"), WITH_ARTIFACT.digest);
  });
  await check("each push is a generation that names its token", async () => {
    const log = await chpDone("log", "--store", store, "--quiet");
    if (!/push pushed\/by-skopeo:1 by token ci/.test(log)) throw new Error(log.slice(-2000));
  });
  await check("the store has no damage", () => chpDone("verify", "--store", store, "--quiet"));
}

/** A running server sees a changed setting within a second. */
async function untilPushIsOn(host: string, ca: string): Promise<void> {
  const tls = { ca: readFileSync(ca, "utf8") };
  for (let tries = 0; tries < 100; tries += 1) {
    const { status } = await fetch(`https://${host}/v2/no/such/blobs/uploads/`, {
      method: "POST",
      headers: { Authorization: `Basic ${btoa(`${LOGIN.username}:${LOGIN.password}`)}` },
      tls,
    });
    if (status === 403) return;
    await Bun.sleep(100);
  }
  throw new Error("the server does not see that registry.push is on");
}

/* ---- all of it ---- */

interface Hub {
  readonly store: string;
  readonly url: string;
  readonly host: string;
  /** file of the certificate to trust */
  readonly ca: string;
}

/** A hub over TLS or without, at a port that is free now: its public URL has to name it before it is served. */
async function hub(name: string, isSecure: boolean): Promise<Hub & { readonly served: Served }> {
  const store = join(WORK, `${name}-store`);
  const file = join(WORK, `${name}.tar`);
  writeFileSync(file, archive());
  await chpDone("import", "--store", store, file);
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port } = probe;
  await probe.stop(true);
  const url = `${isSecure ? "https" : "http"}://127.0.0.1:${port}`;
  await chpDone(
    "config",
    "--store",
    store,
    `public-url=${url}`,
    `proxy.oci-registry.username=${LOGIN.username}`,
    `proxy.oci-registry.password=${LOGIN.password}`,
    ...(isSecure ? [] : ["registry=on"]),
  );
  await chpDone("import-certificate", "--selfsigned", "--store", store);
  const ca = join(WORK, `${name}-ca.crt`);
  writeFileSync(ca, await chpDone("config", "--store", store, "proxy.tls.cert"));
  const served = await serve(store, isSecure ? ["--tls-listen", `127.0.0.1:${port}`] : ["--listen", `127.0.0.1:${port}`]);
  return { store, url, host: `127.0.0.1:${port}`, ca, served };
}

const missing = TOOLS.filter((tool) => Bun.which(tool) === null);
if ((missing.length > 0 || !goIsInstalled() || process.getuid?.() !== 0) && process.env["CI"] !== "true") {
  skip(`all clients of the registry: they need root, and ${missing.join(" and ") || "Go"}, which is not installed`);
} else {
  rmSync(WORK, { recursive: true, force: true });
  mkdirSync(WORK, { recursive: true });
  await check("run it to the end", async () => {
    const secure = await hub("tls", true);
    try {
      await conformance(secure);
      await otherClients(secure);
      await pushes(secure);
      await bootstrap(secure);
      await kubelet(secure, "TLS");
    } finally {
      await secure.served.stop();
    }
    const plain = await hub("http", false);
    try {
      await kubelet(plain, "HTTP");
    } finally {
      await plain.served.stop();
    }
  });
}
finish();
