/**
 * Bootstraps by Juju's own code, with chp as the first source and no other network: what is asked of any other address is recorded, refused and a
 * failure. The real `juju bootstrap` goes on until it asks its cloud for a machine, or for a pod; the clouds are stand-ins.
 */

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { bootstrapFiles, bootstrapThings } from "../bootstrapworld.ts";
import { chp, serve, tempFolder } from "../e2e/chp.ts";
import { check, equal, skip } from "./checks.ts";
import { kubernetesStandIn } from "./kubernetes.ts";
import { program } from "./program.ts";

const REGION = "RegionOne";
/** By version: the program that finds agents and system images with that Juju's code. */
const FINDERS = {
  "2.9.42": { module: "cli29", release: "jammy", image: "image-22.04" },
  "3.6.11": { module: "controller36", release: "24.04", image: "image-24.04" },
  "4.1-beta2": { module: "cli41", release: "24.04", image: "image-24.04" },
};
const JUJU = {
  module: "cli36",
  package: "github.com/juju/juju/cmd/juju",
  tags: "minimal provider_openstack provider_lxd provider_kubernetes",
};
const BOOTSTRAPPED = "3.6.11";

/** What a bootstrap fetches of chp, and how it is answered. `by`: who asks; only clients run here. */
interface Line {
  readonly by: "client" | "machine" | "snapd" | "controller" | "node";
  readonly what: string;
  readonly request: RegExp;
  /** statuses that it may be answered with */
  readonly status: readonly number[];
}

/** Every line of what a bootstrap of 3.6 fetches; those of machines, controllers and nodes are asked here in their stead. */
const LINES: readonly Line[] = [
  { by: "client", what: "signed agent streams", request: /^GET \/juju\/tools\/streams\/v1\/index2?\.sjson$/, status: [404] },
  { by: "client", what: "the index of agents", request: /^GET \/juju\/tools\/streams\/v1\/index2\.json$/, status: [200] },
  { by: "client", what: "mirrors of agents", request: /^GET \/juju\/tools\/streams\/v1\/mirrors\.json$/, status: [404] },
  {
    by: "client",
    what: "the product file",
    request: /^GET \/juju\/tools\/streams\/v1\/com\.ubuntu\.juju-released-agents\.json$/,
    status: [200],
  },
  { by: "client", what: "signed image metadata", request: /^GET \/juju\/images\/streams\/v1\/index2?\.sjson$/, status: [404] },
  { by: "client", what: "the index of system images", request: /^GET \/juju\/images\/streams\/v1\/index2\.json$/, status: [200] },
  { by: "client", what: "mirrors of system images", request: /^GET \/juju\/images\/streams\/v1\/mirrors\.json$/, status: [404] },
  { by: "client", what: "the system images of the cloud", request: /^GET \/juju\/images\/streams\/v1\/cloud-\d\.json$/, status: [200] },
  { by: "client", what: "the registry", request: /^GET \/v2\/?$/, status: [200] },
  { by: "machine", what: "the agent", request: /^GET \/juju\/tools\/agent\/3\.6\.11\/juju-3\.6\.11-linux-amd64\.tgz$/, status: [200] },
  { by: "snapd", what: "juju-db, core, snapd and their bases", request: /^POST \/v2\/snaps\/refresh$/, status: [200] },
  { by: "controller", what: "the charm juju-controller", request: /^POST \/v2\/charms\/refresh$/, status: [200] },
  {
    by: "node",
    what: "the images of controllers by tag",
    request: /^(GET|HEAD) \/v2\/juju(solutions)?\/(jujud-operator|juju-db|charm-base)\/(manifests\/\S+|tags\/list)$/,
    status: [200],
  },
];

/* ---- what watches ---- */

interface Asked {
  /** `GET /path` */
  readonly request: string;
  readonly status: number;
}

/** A server before chp, which records what is asked of it. */
function recorder() {
  const asked: Asked[] = [];
  let target = "";
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      const url = new URL(request.url);
      const body = request.method === "GET" || request.method === "HEAD" ? undefined : await request.arrayBuffer();
      const reply = await fetch(`${target}${url.pathname}${url.search}`, {
        method: request.method,
        headers: request.headers,
        redirect: "manual",
        ...(body && { body }),
      });
      asked.push({ request: `${request.method} ${url.pathname}`, status: reply.status });
      return reply;
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    lead: (url: string) => {
      target = url;
    },
    /** what was asked since the last time */
    taken: () => asked.splice(0),
    stop: () => server.stop(true),
  };
}

/** A proxy for every other address: it lets nothing through, and records what was meant. */
async function closedNetwork() {
  const asked: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (data) => {
      asked.push(data.toString("latin1").split("\r\n")[0] ?? "");
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
  return {
    environment: { ...Object.fromEntries(names.map((name) => [name, url])), NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" },
    taken: () => asked.splice(0),
    stop: () => server.close(),
  };
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(command: readonly string[], env: Readonly<Record<string, string>>): Promise<Ran> {
  const child = Bun.spawn([...command], {
    stdout: "pipe",
    stderr: "pipe",
    stdin: "ignore",
    env: { ...process.env, ...env },
    timeout: 120_000,
  });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code, out, err };
}

async function done(...args: string[]): Promise<string> {
  const { code, out, err } = await chp(args);
  if (code !== 0) throw new Error(`chp ${args[0]} ended with ${code}: ${err}`);
  return out;
}

interface Found {
  readonly Found: { readonly Version: string; readonly Same: boolean }[] | null;
  readonly Cloud: { readonly Version: string; readonly Same: boolean }[] | null;
  readonly Images: string[] | null;
}

/** A machine of a cloud that the stand-in was asked for. */
interface Machine {
  readonly image: string;
}

/** The stand-in of OpenStack: its identity service, and the machine that it is asked for. */
async function openstackStandIn() {
  const child = Bun.spawn([await program("openstack36", { module: "cli36", package: "./openstack" })], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const line = async (): Promise<unknown> => {
    while (!text.includes("\n")) {
      const { value, done: ended } = await reader.read();
      if (ended) throw new Error("the stand-in of OpenStack ended");
      text += value;
    }
    const [first = "", ...rest] = text.split("\n");
    text = rest.join("\n");
    return JSON.parse(first);
  };
  const { identity } = (await line()) as { identity: string };
  return { identity, machine: async () => (await line()) as Machine, stop: () => child.kill() };
}

/** Holds what was asked against the lines: each request is of one, and each line of the clients in `wanted` was asked. */
function hold(asked: readonly Asked[], wanted: readonly string[]): void {
  for (const { request, status } of asked) {
    const line = LINES.find((one) => one.request.test(request));
    if (!line) throw new Error(`${request} is none of the lines`);
    if (!line.status.includes(status)) throw new Error(`${line.what}: ${request} is answered with ${status}`);
  }
  const seen = LINES.filter(({ request }) => asked.some((one) => request.test(one.request))).map(({ what }) => what);
  equal(
    seen,
    LINES.map(({ what }) => what).filter((what) => wanted.includes(what)),
  );
}

export async function bootstrap(): Promise<void> {
  if (process.env["CHP_URL"]) return skip("bootstraps: CHP_URL names a hub that runs already");
  using folder = tempFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  const store = ["--store", at("store")];
  const front = recorder();
  const others = await closedNetwork();
  const cloud = await openstackStandIn();
  mkdirSync(at("media"));
  for (const [name, bytes] of Object.entries(bootstrapFiles(bootstrapThings(Object.keys(FINDERS)))))
    writeFileSync(at("media", name), bytes);
  writeFileSync(
    at("images.yaml"),
    `region: ${REGION}\nendpoint: ${cloud.identity}\narch: amd64\nvirt: kvm\nimages:\n  - {id: image-24.04, base: noble}\n  - {id: image-22.04, base: jammy}\n`,
  );
  await check("import agents, images, charm and snaps of bootstraps", () =>
    done("import", ...store, "--trust", at("media", "root.assert"), "--streams-key", at("media", "streams.asc"), at("media")),
  );
  await check("name the site's system images", () =>
    done("config", ...store, `image-metadata=@${at("images.yaml")}`, `public-url=${front.url}`),
  );
  const served = await serve(at("store"), [], { CHP_PUBLIC_URL: front.url });
  front.lead(served.url);
  const juju = await program("juju36", JUJU);

  /** The real client, with the configuration that chp prints, until its cloud refuses. */
  const bootstrapped = async (kind: "openstack" | "k8s", clouds: string, credentials: string): Promise<Ran> => {
    const home = at(kind);
    mkdirSync(home);
    writeFileSync(join(home, "clouds.yaml"), clouds);
    writeFileSync(join(home, "credentials.yaml"), credentials);
    writeFileSync(join(home, "config.yaml"), await done("juju-config", ...store, "--juju", BOOTSTRAPPED, "--cloud", kind));
    const environment = { JUJU_DATA: home, HOME: home, ...others.environment };
    return run([juju, "bootstrap", "site", "c1", "--config", join(home, "config.yaml")], environment);
  };

  try {
    for (const [version, { module, release, image }] of Object.entries(FINDERS)) {
      const finder = await program(`streams-${module}`, { module, package: "./streams" });
      await check(`${version}: FindTools, FindToolsForCloud and imagemetadata.Fetch find it here, and nowhere else`, async () => {
        const { code, out, err } = await run([finder, front.url, version, REGION, cloud.identity, release], others.environment);
        if (code !== 0) throw new Error(`it ended with ${code}: ${out}${err}`);
        equal(others.taken(), []);
        const { Found, Cloud, Images } = JSON.parse(out) as Found;
        const binary = `${version}-ubuntu-amd64`;
        equal(
          Found?.filter((agent) => agent.Version === binary).map(({ Same }) => Same),
          [true],
        );
        const ofUbuntu = Cloud?.flatMap(({ Version, Same }) => (Same && Version.includes("-ubuntu-") ? [Version] : [])).toSorted();
        equal(ofUbuntu, [binary, binary.replace("amd64", "arm64")]);
        equal(Images, [`${image} ${REGION} amd64 kvm`]);
      });
    }
    await check("the closed network sees who asks another address: of a version that is not here", async () => {
      const finder = await program("streams-controller36", { module: "controller36", package: "./streams" });
      const { code } = await run([finder, front.url, "3.5.1", REGION, cloud.identity, "24.04"], others.environment);
      const asked = others.taken();
      equal([code, asked.length > 0, asked.every((one) => one.includes("streams.canonical.com"))], [1, true, true]);
    });
    front.taken();
    await check("juju bootstrap on OpenStack asks its cloud for a machine, and nobody but chp for anything else", async () => {
      const auth = `    auth-types: [userpass]\n    endpoint: ${cloud.identity}\n`;
      const clouds = `clouds:\n  site:\n    type: openstack\n${auth}    regions:\n      ${REGION}: {endpoint: "${cloud.identity}"}\n`;
      const login = "{auth-type: userpass, username: fred, password: secret, tenant-name: tenant}";
      const { code, err } = await bootstrapped("openstack", clouds, `credentials:\n  site:\n    fred: ${login}\n`);
      if (code === 0 || !err.includes("this stand-in makes no machines")) throw new Error(`it ended with ${code}: ${err.slice(-1500)}`);
      equal([(await cloud.machine()).image, others.taken()], ["image-24.04", []]);
      hold(front.taken(), [
        "signed agent streams",
        "the index of agents",
        "mirrors of agents",
        "the product file",
        "signed image metadata",
        "the index of system images",
        "mirrors of system images",
        "the system images of the cloud",
      ]);
    });
    await check("juju bootstrap on Kubernetes asks its cluster for the controller, by images that chp has", async () => {
      const cluster = kubernetesStandIn();
      try {
        const config = "    config: {workload-storage: standard, operator-storage: standard}\n";
        const clouds = `clouds:\n  site:\n    type: kubernetes\n    auth-types: [oauth2]\n    endpoint: ${cluster.url}\n    host-cloud-region: k8s/x\n${config}    regions:\n      default: {endpoint: "${cluster.url}"}\n`;
        const { code, err } = await bootstrapped("k8s", clouds, "credentials:\n  site:\n    fred: {auth-type: oauth2, Token: abc}\n");
        if (code === 0 || !err.includes("this stand-in runs no pods")) throw new Error(`it ended with ${code}: ${err.slice(-1500)}`);
        const host = new URL(front.url).host;
        equal(
          [...new Set(cluster.images)].toSorted(),
          ["charm-base:ubuntu-24.04", "juju-db:4.4", "jujud-operator:3.6.11"].map((name) => `${host}/juju/${name}`),
        );
        equal(others.taken(), []);
        hold(front.taken(), ["the registry"]);
      } finally {
        await cluster.stop();
      }
    });
    await check("what machines, snapd, controllers and nodes ask for next is answered, each line", async () => {
      const streams = await (await fetch(`${front.url}/juju/tools/streams/v1/com.ubuntu.juju-released-agents.json`)).text();
      front.taken();
      const agent = await fetch(`${front.url}/juju/tools/agent/3.6.11/juju-3.6.11-linux-amd64.tgz`);
      const sum = createHash("sha256")
        .update(Buffer.from(await agent.arrayBuffer()))
        .digest("hex");
      equal(streams.includes(sum), true);
      const out = (await chp(["doctor", ...store, "--juju", BOOTSTRAPPED, "--json"])).out;
      const { findings } = JSON.parse(out) as { findings: { check: string; what: string }[] };
      equal(
        findings.filter((finding) => finding.check === "juju"),
        [],
      );
      const own = /^HEAD \/juju\/|\/_status|\/v2\/_catalog/;
      const asked = front.taken().filter(({ request }) => !own.test(request));
      const later = LINES.filter(({ by }) => by !== "client").map(({ what }) => what);
      hold(asked, ["signed agent streams", "the index of agents", "the product file", ...later]);
    });
    await check("the registry client of a controller finds the versions of its image", async () => {
      const client = await program("registryclient36", { module: "controller36", package: "./registryclient" });
      const { config } = JSON.parse(await done("juju-config", ...store, "--juju", BOOTSTRAPPED, "--cloud", "k8s", "--json")) as {
        config: string;
      };
      const repository = (Bun.YAML.parse(config) as Record<string, string>)["caas-image-repo"] ?? "";
      const { out } = await run([client, repository], others.environment);
      equal([JSON.parse(out), others.taken()], [{ "3.6.11": ["amd64", "arm64"], "4.1-beta2": ["amd64", "arm64"] }, []]);
    });
  } finally {
    cloud.stop();
    others.stop();
    await served.stop();
    await front.stop();
  }
}
