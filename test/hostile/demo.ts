/** The charm that requests meant to harm are about. */

import { base, charmZip, type PackageSpec } from "../build.ts";

export const jammy = base("amd64", "22.04");
export const SPEC: PackageSpec = {
  name: "demo",
  id: "DemoDemoDemoDemoDemoDemoDemoDemo",
  type: "charm",
  revisions: { 7: charmZip({ name: "demo", revision: 7, bases: [jammy], resources: { data: { type: "file", filename: "d" } } }) },
  bases: { 7: [jammy] },
  resources: { data: { type: "file", filename: "d", revisions: { 0: "zero", 1: "one" } } },
  releases: [{ channel: "14/stable", base: jammy, revision: 7, resources: { data: 1 } }],
};
