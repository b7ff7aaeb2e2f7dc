/** What a mirror requests: everything that a store lists. */

import { ARCHITECTURES as BASE_ARCHITECTURES } from "../catalog/base.ts";
import { ARCHITECTURES } from "../catalog/snap.ts";
import type { ExportRequest, Selection } from "./sitefile.ts";
import type { Upstream } from "./upstream.ts";

/** A request of everything that a store lists. An architecture that it has nothing for costs a request per package. */
export async function requestEverything(
  upstream: Upstream,
  { channels = "all", systems = "all", architectures }: Selection,
): Promise<ExportRequest> {
  const packages = await upstream.charmNames();
  const snapNames = new Set<string>();
  const snapArchitectures = architectures ?? ARCHITECTURES;
  for (const architecture of snapArchitectures) for (const name of await upstream.snapNames(architecture)) snapNames.add(name);
  const all = architectures ?? [...new Set([...BASE_ARCHITECTURES, ...ARCHITECTURES])];
  const packageRequest = (name: string) => ({
    name,
    channels,
    systems,
    architectures: all,
    resources: {},
    allResources: true as const,
    paths: {},
  });
  const requestsOf = (type: "charm" | "bundle") => packages.filter((pkg) => pkg.type === type).map(({ name }) => packageRequest(name));
  return {
    charms: requestsOf("charm"),
    bundles: requestsOf("bundle"),
    snaps: [...snapNames].toSorted().map((name) => ({ name, channels, architectures: snapArchitectures })),
    images: { references: [], architectures: all },
    agents: { versions: "all", architectures: all },
    without: [],
    mirror: true,
    notes: [],
  };
}
