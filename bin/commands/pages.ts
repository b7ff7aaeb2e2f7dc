/** What the pages of a server show in addition to the store: how machines are set up, and how this machine is. */

import type { MachineFacts, SetupPart, Web } from "../../handlers/call.ts";
import { imageNotes } from "../../src/catalog/imagesources.ts";
import { clockProblem, plausibleTime } from "../../src/clock.ts";
import { certificateFacts, certificateWarnings, hostOf, trustAnchors } from "../../src/settings/certificate.ts";
import type { SettingValue } from "../../src/settings/config.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import type { Store } from "../../store/store.ts";
import { imageSetup, registryOf } from "../machine/settings.ts";
import { storeProxyOf } from "../machine/storeproxy.ts";
import { servedCertificate, trustedCertificate, trustedCertificates } from "../machine/tls.ts";
import { jujuConfig } from "./juju-config.ts";
import { TOPICS } from "./manual.ts";
import { snapdConfig } from "./snapd-config.ts";
import { trustTexts } from "./trust.ts";

/** Bytes that the store may still take on its disk; undefined: not known, as of a bucket. */
type FreeBytes = () => Promise<number | undefined>;

/** `settings`: those that the server was started with; the pages say what it does, not what a restart would change. */
export function webOf(store: Store, free: FreeBytes, settings: ReadonlyMap<string, SettingValue>): Web {
  const made = new WeakMap<Snapshot, Promise<string[]>>();
  const notes = (snapshot: Snapshot): Promise<string[]> => {
    const known = made.get(snapshot) ?? notesOnImages(snapshot, settings);
    made.set(snapshot, known);
    return known;
  };
  return {
    manual: TOPICS,
    history: store,
    setup: (origin) => setupOf(store, settings, origin),
    machine: () => machineOf(store, free, settings, notes),
  };
}

async function setupOf(store: Store, settings: ReadonlyMap<string, SettingValue>, origin: string): Promise<SetupPart[]> {
  const snapshot = await store.snapshot();
  const assertions = await snapshot.assertions();
  const isSecure = origin.startsWith("https:");
  const served = isSecure ? await servedCertificate(store, settings) : undefined;
  const trusted = served && trustedCertificate(served);
  const texts = trustTexts({
    pem: (trusted ?? "").trimEnd(),
    url: origin,
    host: hostOf(origin),
    registry: registryOf(settings)?.domain ?? null,
  });
  const text = (key: Parameters<typeof texts.get>[0]) => texts.get(key) ?? "";
  const certificates = isSecure ? trustAnchors(await trustedCertificates(store, settings)) : [];
  const snapd = snapdConfig(assertions, origin);
  return [
    ...(trusted === undefined
      ? []
      : [
          {
            id: "trust",
            title: "Trust",
            about: "Whatever talks to this store has to trust its certificate, before anything else here works.",
            steps: [
              { label: "The operating system", text: text("os") },
              { label: "snapd, where the operating system does not trust it yet", text: text("snapd") },
            ],
          },
        ]),
    {
      id: "juju",
      title: "Juju",
      about: "A model keeps the address of its store forever. Save the file where Juju runs, then give it to each model.",
      steps: [
        { label: "juju-config.yaml", text: jujuConfig(origin, storeProxyOf(assertions, origin), certificates) },
        { label: "A new model", text: "juju add-model MODEL --config juju-config.yaml" },
        { label: "A new controller", text: "juju bootstrap CLOUD CONTROLLER --config juju-config.yaml" },
        { label: "Look for charms without a model", text: `CHARMHUB_URL=${origin} juju find` },
      ],
    },
    {
      id: "snapd",
      title: "snapd",
      about: `On each machine that installs snaps. Method: ${snapd.route === "environment" ? "environment variables of snapd" : `proxy.store=${snapd.store}`}, because ${snapd.why}.`,
      steps: [
        { label: "A machine that runs", text: snapd.commands.join("\n") },
        ...(snapd.route === "environment" ? [{ label: "A new machine, as cloud-init user data", text: snapd.cloudInit }] : []),
      ],
    },
    {
      id: "images",
      title: "Images",
      about: "On each node of a cluster, so that containerd pulls from here.",
      steps: [{ label: "containerd", text: text("containerd") }],
    },
  ];
}

async function notesOnImages(snapshot: Snapshot, settings: ReadonlyMap<string, SettingValue>): Promise<string[]> {
  return imageNotes(imageSetup(settings), await snapshot.packages(), await snapshot.repositories());
}

async function machineOf(
  store: Store,
  freeBytes: FreeBytes,
  settings: ReadonlyMap<string, SettingValue>,
  notes: (snapshot: Snapshot) => Promise<string[]>,
): Promise<MachineFacts> {
  const snapshot = await store.snapshot();
  const publicUrl = settings.get("public-url")?.values[0];
  const now = plausibleTime(Date.now(), snapshot.time);
  const certificate = settings.has("tls-listen") ? (await servedCertificate(store, settings))?.certificate : undefined;
  const odd = clockProblem(Date.now(), snapshot.time);
  const free = await freeBytes();
  return {
    ...(free !== undefined && { free }),
    ...(certificate !== undefined && { certificate: certificateFacts(certificate) }),
    notes: [
      ...(odd === undefined ? [] : [odd]),
      ...(publicUrl === undefined ? ["no public URL is set: addresses are made from each request's Host"] : []),
      ...(certificate === undefined ? [] : certificateWarnings(certificate, publicUrl, now)),
      ...(await notes(snapshot)),
    ],
  };
}
