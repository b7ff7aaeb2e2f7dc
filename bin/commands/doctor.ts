import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import * as v from "valibot";
import { readBundle } from "../../src/archives/charm.ts";
import { keyWarning, showKey } from "../../src/archives/signature.ts";
import { agentKeys } from "../../src/catalog/agents.ts";
import { readJuju } from "../../src/catalog/bootstrap.ts";
import { type BootstrapWish, checkBootstrap } from "../../src/catalog/bootstrapcheck.ts";
import {
  type CheckResult,
  certainFinding,
  type PassedCheck,
  type ReadinessCheck,
  type ReadinessFinding,
  resultsOf,
  skippedCheck,
} from "../../src/catalog/finding.ts";
import { showAge } from "../../src/catalog/freshness.ts";
import { isOfResource, type NeededImage, neededImages } from "../../src/catalog/images.ts";
import { OBSTACLES, StoredImages } from "../../src/catalog/imagesources.ts";
import { offered } from "../../src/catalog/override.ts";
import type { Package } from "../../src/catalog/package.ts";
import { type BundledCharm, imageFindings, storedImageFindings, storedResults } from "../../src/catalog/readiness.ts";
import { type OwnRegistryMode, type Registry, whyNotOwn } from "../../src/catalog/registry.ts";
import type { Repository } from "../../src/catalog/repository.ts";
import { StoredBootstrap } from "../../src/catalog/storedbootstrap.ts";
import { clockProblem, plausibleTime } from "../../src/clock.ts";
import { Failure, printable, reason } from "../../src/errors.ts";
import { certificateFindings, hostOf } from "../../src/settings/certificate.ts";
import { readCloudImages } from "../../src/settings/cloudimages.ts";
import { IMAGE_METADATA, type SettingValue } from "../../src/settings/config.ts";
import { tryJson } from "../../src/text.ts";
import { bucketProof } from "../../store/s3proof.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { Store } from "../../store/store.ts";
import { isBucket } from "../machine/bucket.ts";
import { ask, NoReply } from "../machine/http.ts";
import { count, type Io, printJson } from "../machine/io.ts";
import { openStore, storageOf, storeFolder } from "../machine/openstore.ts";
import { askRegistry } from "../machine/registryclient.ts";
import { askServer, serverAddresses } from "../machine/runningserver.ts";
import { ServedBootstrap } from "../machine/servedbootstrap.ts";
import { acceptedKeys, loadSettings, loginOf, usedRegistry } from "../machine/settings.ts";
import { RENEW, trustedCertificates } from "../machine/tls.ts";
import { defineCommand, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["publicUrlOfStore", "doctorJuju", "doctorCloud", "offline", "policy"] as const;
type DoctorFlags = FlagValues<typeof TAKES>;

export const doctorCommand: Register = (program, io) => {
  defineCommand(program, "doctor", "Check that deployments will work, and list what to fix", EXITS, TAKES)
    .addHelpText("after", EXAMPLES)
    .action((options: DoctorFlags) => runDoctor(options, io));
};

const EXITS = "0 no problem, 1 problems found, 2 usage, 10 no store, 11 store format too new";
const EXAMPLES = `
Checks the store (snaps, charms of bundles, resources), the certificate, the registry for each image by its
digest, the names of registry and public URL, and the public URL itself. Run it where the network is that of the clients.
With --juju it asks the running server for each thing that a bootstrap fetches, as Juju, snapd and nodes do: agents, the charm and snaps
of controllers, their images. What is missing is named, with the line in a site file that brings it. (chp help bootstrap)

Examples:
  chp doctor
  chp doctor --juju 3.6
  chp doctor --juju 3.6.11 --cloud k8s
  chp doctor --json --offline
  chp doctor --store s3://charms/site --policy`;

export async function runDoctor(options: DoctorFlags, io: Io): Promise<void> {
  if (options.cloud !== undefined && options.juju === undefined)
    throw new Failure("usage", "--cloud says where the Juju of --juju bootstraps", { next: "give --juju VERSION with it" });
  if (options.juju !== undefined) readJuju(options.juju);
  if (options.policy) return printPolicy(options, io);
  const bucket = await bucketResults(options, io);
  const broken = bucket.filter((result): result is ReadinessFinding => "next" in result);
  if (broken.length > 0) return report(bucket, options, io); // what a store in it says proves nothing
  const store = await openStore(options, io);
  const settings = await loadSettings(store, { flags: { "public-url": options.publicUrl }, environment: io.environment });
  const snapshot = await store.snapshot();
  const now = plausibleTime(Date.now(), snapshot.time);
  const packages = (await snapshot.packages()).map((pkg) => offered(pkg, now));
  const snaps = await snapshot.snaps();
  const publicUrl = settings.get("public-url")?.values[0];
  const registry = usedRegistry(settings, publicUrl);
  const certificates = await certificatesOf(store, settings, publicUrl);
  const network: Network = { offline: options.offline === true, trusted: certificates.trusted };
  const [images, address] = await Promise.all([
    imageResults(neededImages(packages, registry), { settings, publicUrl, repositories: await snapshot.repositories() }, network),
    publicUrlResults(publicUrl, snapshot.number, network),
  ]);
  const odd = clockProblem(Date.now(), snapshot.time);
  const results: CheckResult[] = [
    ...bucket,
    ...(odd === undefined ? [] : [certainFinding("clock", odd, "set the clock of this machine")]),
    ...storedResults(packages, snaps, await charmsOfBundles(store, packages)),
    ...(options.juju === undefined
      ? []
      : await bootstrapResults({ juju: options.juju, cloud: options.cloud, packages }, settings, snapshot, network)),
    ...images,
    ...certificates.results,
    ...(await archiveResults(store, io)),
    ...address,
  ];
  report(results, options, io);
}

/** Fails where there is a finding. */
function report(results: readonly CheckResult[], options: DoctorFlags, io: Io): void {
  const findings = results.filter((result): result is ReadinessFinding => "next" in result);
  const passed = results.filter((result): result is PassedCheck => "state" in result);
  if (options.json) printJson({ ready: findings.length === 0, findings, passed }, io);
  else printResults(results, io);
  if (findings.length > 0)
    throw new Failure("failed", `${count(findings.length, "problem")} found`, {
      next: findings[0]?.next ?? "",
    });
}

/** Whether the bucket keeps what a store needs, of a store in one. */
async function bucketResults(options: DoctorFlags, io: Io): Promise<readonly CheckResult[]> {
  const storage = storageOf({ ...options, quiet: true }, io);
  if (!("client" in storage)) return [];
  if (options.offline) return skippedCheck("bucket", `${storage.place} is not proven, as --offline says`);
  const steps = await bucketProof(storage.client);
  const findings = steps.flatMap(({ broken }) =>
    broken === undefined ? [] : [certainFinding("bucket", broken, "use a newer release of that storage, or another: chp help replicas")],
  );
  return resultsOf("bucket", findings, `${storage.place} keeps what a store needs: ${count(steps.length, "check")}`);
}

/** What the access key of a store in a bucket needs, and nothing else, as engines and AWS read it. */
function printPolicy(options: DoctorFlags, io: Io): void {
  const place = storeFolder({ ...options, quiet: true }, io);
  if (!isBucket(place))
    throw new Failure("usage", `--policy is for a store in a bucket: ${printable(place)} is a folder`, {
      next: "--store s3://BUCKET/PREFIX",
    });
  const [bucket = "", ...path] = place.slice("s3://".length).replace(/\/+$/, "").split("/");
  const prefix = path.map((part) => `${part}/`).join("");
  printJson(
    {
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Action: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
          Resource: [`arn:aws:s3:::${bucket}/${prefix}*`],
        },
        { Effect: "Allow", Action: ["s3:ListBucket", "s3:ListBucketMultipartUploads"], Resource: [`arn:aws:s3:::${bucket}`] },
      ],
    },
    io,
  );
}

interface Network {
  readonly offline: boolean;
  readonly trusted: readonly string[];
}

/** Whether a Juju can bootstrap: asked of the running server as its clients will, else looked up in the store. */
async function bootstrapResults(
  wish: BootstrapWish,
  settings: ReadonlyMap<string, SettingValue>,
  snapshot: Snapshot,
  { offline, trusted }: Network,
): Promise<readonly CheckResult[]> {
  const publicUrl = settings.get("public-url")?.values[0];
  const { running } = offline ? { running: undefined } : await askServer(serverAddresses(settings), trusted);
  if (running) {
    const options = { trusted, anyName: running.url !== publicUrl };
    try {
      return await checkBootstrap(wish, new ServedBootstrap({ url: running.url, login: loginOf(settings), options }));
    } catch (error) {
      return [
        certainFinding(
          "juju",
          `the server at ${running.url} can't be asked: ${printable(reason(error), 300)}`,
          "chp serve; then: chp doctor",
        ),
      ];
    }
  }
  const text = settings.get(IMAGE_METADATA)?.values[0];
  const stored = new StoredBootstrap({
    packages: wish.packages,
    snaps: await snapshot.snaps(),
    repositories: await snapshot.repositories(),
    agents: agentKeys(await snapshot.agents()),
    cloudImages: text === undefined ? [] : readCloudImages(text),
  });
  const why = offline ? "as --offline says" : "as none answers";
  return [...skippedCheck("juju", `the store was looked at, and no server, ${why}`), ...(await checkBootstrap(wish, stored))];
}

/** The charms that bundles name; of a released bundle, only those of its released revisions. */
async function charmsOfBundles(store: Store, packages: readonly Package[]): Promise<BundledCharm[]> {
  const named: BundledCharm[] = [];
  for (const { name, revisions, releases } of packages) {
    const released = new Set(releases.map((release) => release.revision));
    for (const { revision, charms, texts } of revisions) {
      if (charms.length === 0 || (released.size > 0 && !released.has(revision))) continue;
      const by = `bundle ${name} ${revision}`;
      const text = texts["bundle-yaml"];
      const channels = text === undefined ? undefined : readBundle(await store.text(text), `bundle.yaml of ${by}`).channels;
      for (const charm of charms)
        named.push(
          ...[...(channels?.get(charm) ?? [undefined])].map((channel) => ({ by, charm, ...(channel !== undefined && { channel }) })),
        );
    }
  }
  return named;
}

async function certificatesOf(
  store: Store,
  settings: Parameters<typeof trustedCertificates>[1],
  publicUrl: string | undefined,
): Promise<{ trusted: readonly string[]; results: readonly CheckResult[] }> {
  try {
    const trusted = await trustedCertificates(store, settings);
    if (trusted.length === 0) return { trusted, results: skippedCheck("certificate", "none is set") };
    return { trusted, results: resultsOf("certificate", certificateFindings(trusted, publicUrl, Date.now(), RENEW), "it is valid") };
  } catch (error) {
    return { trusted: [], results: [certainFinding("certificate", reason(error), RENEW)] };
  }
}

/** How old the newest archive by each accepted key is, and which keys end. */
async function archiveResults(store: Store, io: Io): Promise<readonly CheckResult[]> {
  const now = Date.now();
  const newest = await store.signedTimes(await store.snapshot());
  return (await acceptedKeys(store, io)).flatMap((key): CheckResult[] => {
    const warning = keyWarning(key, now);
    const time = newest[key.id];
    const age = time === undefined ? "nothing by it was imported yet" : `the newest archive is of ${showAge(time, now)}`;
    return [
      { check: "archives", state: "ok", what: `key ${showKey(key)}: ${age}` },
      ...(warning === undefined
        ? []
        : [certainFinding("archives", warning, "chp accept-key FILE.pub takes its successor, which its owner makes")]),
    ];
  });
}

interface ImageSetup {
  readonly settings: ReadonlyMap<string, SettingValue>;
  readonly publicUrl: string | undefined;
  readonly repositories: readonly Repository[];
}

async function imageResults(images: readonly NeededImage[], setup: ImageSetup, network: Network): Promise<readonly CheckResult[]> {
  if (images.length === 0) return [{ check: "images", state: "ok", what: "no stored charm needs an image" }];
  const registry = usedRegistry(setup.settings, setup.publicUrl);
  if (registry?.own) return ownImageResults(images, registry, setup, network);
  if (registry) return otherImageResults(images, registry, network);
  const cause = whyNotOwn(setup.publicUrl, setup.settings.get("registry")?.values[0] as OwnRegistryMode);
  const here = new StoredImages(setup.repositories);
  const ofResources = images.filter(({ neededBy }) => neededBy.some(isOfResource));
  const stored = ofResources.filter(({ upstream }) => here.find(upstream));
  if (stored.length > 0 && cause) {
    const { why, next } = OBSTACLES[cause];
    return [
      certainFinding("registry", `${count(stored.length, "image")} stored here, but Juju is sent upstream: ${why}`, next),
      ...storedImageFindings(images, here),
    ];
  }
  if (ofResources.length === 0)
    return resultsOf("images", storedImageFindings(images, here), `all ${count(images.length, "image")} stored here`);
  return [
    certainFinding(
      "registry",
      `no local registry is set, so Juju is sent upstream for ${count(ofResources.length, "image")}`,
      "chp export -f site.yaml takes images too, and chp serves them; or chp config proxy.oci-registry.domain=HOST:PORT",
    ),
  ];
}

/** Of images that are pulled from chp: whether they are stored, and whether nodes reach it. */
async function ownImageResults(
  images: readonly NeededImage[],
  { domain, username, password }: Registry,
  { publicUrl = "", repositories }: ImageSetup,
  { offline, trusted }: Network,
): Promise<readonly CheckResult[]> {
  const stored = resultsOf(
    "images",
    storedImageFindings(images, new StoredImages(repositories)),
    `all ${count(images.length, "image")} stored here`,
  );
  if (isLoopback(hostOf(publicUrl)))
    return [
      ...stored,
      certainFinding("registry", `nodes can't reach ${domain}: it is this machine's own address`, "chp config public-url=URL"),
    ];
  if (offline) return [...stored, ...skippedCheck("registry", `${domain} not asked, as --offline says`)];
  const place = `${publicUrl}/v2/`;
  const login =
    username !== "" && password !== "" ? { Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` } : {};
  try {
    const { status } = await ask(place, { trusted, headers: login });
    if (status === 200) return [...stored, { check: "registry", state: "ok", what: `chp answers as a registry at ${domain}` }];
    return [...stored, certainFinding("registry", `${place} answers a node's request with status ${status}`, `curl -sS ${place} shows it`)];
  } catch (error) {
    return [
      ...stored,
      certainFinding("registry", `a node can't pull from ${domain}: ${printable(reason(error), 300)}`, "chp serve; chp trust --containerd"),
    ];
  }
}

function isLoopback(host: string): boolean {
  return ["localhost", "[::1]", "::1"].includes(host) || host.startsWith("127.");
}

async function otherImageResults(
  images: readonly NeededImage[],
  registry: Registry,
  { offline, trusted }: Network,
): Promise<readonly CheckResult[]> {
  if (offline) return skippedCheck("images", `${count(images.length, "image")} not asked of ${registry.domain}, as --offline says`);
  const unknown = await nameFinding("registry", registry.domain);
  if (unknown) return [unknown];
  const { failure, scheme, images: answers } = await askRegistry(registry, images, { trusted });
  if (failure)
    return [
      certainFinding("registry", `the registry ${registry.domain} cannot be asked: ${failure.message}`, nextOf(failure, registry.domain)),
    ];
  const findings = imageFindings(images, answers);
  return resultsOf("images", findings, `${registry.domain} (${scheme}) has all ${count(images.length, "image")}`);
}

function nextOf(failure: NoReply, domain: string): string {
  return failure.untrusted
    ? "put the certificate of its CA into /usr/local/share/ca-certificates/NAME.crt, here and on every node, and: sudo update-ca-certificates"
    : `start it, or open its port; then: curl -sS http://${domain}/v2/`;
}

const LOOKUP_TIMEOUT = 5000;

/** A finding if the host name of `place` does not resolve here; undefined: it does, or is an address. */
async function nameFinding(check: ReadinessCheck, place: string): Promise<ReadinessFinding | undefined> {
  const host = hostOf(place);
  if (isIP(host)) return undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), LOOKUP_TIMEOUT);
  });
  try {
    await Promise.race([lookup(host), late]);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    return certainFinding(
      check,
      `the name ${host} does not resolve here${code}`,
      `make it known to the network's DNS; then: getent hosts ${host}`,
    );
  } finally {
    clearTimeout(timer);
  }
}

const Status = v.object({ status: v.literal("ok"), version: v.string(), generation: v.number() });

async function publicUrlResults(
  url: string | undefined,
  generation: number,
  { offline, trusted }: Network,
): Promise<readonly CheckResult[]> {
  if (url === undefined)
    return skippedCheck("public URL", "none is set; chp config public-url=URL: Juju 4 stores download URLs permanently");
  if (offline) return skippedCheck("public URL", `${url} not asked, as --offline says`);
  const unknown = await nameFinding("public URL", url);
  if (unknown) return [unknown];
  const place = `${url}/_status/check`;
  try {
    const { status, body } = await ask(place, { trusted });
    const parsed = v.safeParse(Status, status === 200 ? tryJson(body) : undefined);
    if (!parsed.success)
      return [
        certainFinding(
          "public URL",
          `what answers at ${place}, with status ${status}, is not chp`,
          `curl -sS ${place} shows it; chp config public-url=URL`,
        ),
      ];
    const other = parsed.output.generation;
    if (other !== generation)
      return [
        certainFinding(
          "public URL",
          `${url} serves another store: its generation is ${other}, and ${generation} here`,
          `curl -sS ${place}; chp serve --store DIR`,
        ),
      ];
    return [{ check: "public URL", state: "ok", what: `chp ${parsed.output.version} answers at ${url}` }];
  } catch (error) {
    const failure = error instanceof NoReply ? error : new NoReply("", reason(error));
    if (failure.untrusted) return [certainFinding("public URL", `the certificate at ${url} is not trusted: ${failure.message}`, RENEW)];
    return [certainFinding("public URL", `nothing answers at ${url}: ${failure.message}`, `chp serve; then: curl -sS ${place}`)];
  }
}

function printResults(results: readonly CheckResult[], io: Io): void {
  const rows = results.map((result) => {
    const state = "state" in result ? result.state : result.sure === "likely" ? "likely missing" : "missing";
    return { state, check: result.check, what: result.what, next: "next" in result ? result.next : "" };
  });
  const width = Math.max(...rows.map(({ state }) => state.length));
  const lines = rows.flatMap(({ state, check, what, next }) => [
    `${state.padEnd(width)}  ${check}: ${what}`,
    ...(next === "" ? [] : [`${"".padEnd(width)}  next: ${next}`]),
  ]);
  io.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
}
