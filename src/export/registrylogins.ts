/** The logins of registries that an operator has: the `auths` of a config.json of Docker, or of an auth.json of Podman and skopeo. */

import * as v from "valibot";
import { apiHost } from "../catalog/imagereference.ts";
import { Failure } from "../errors.ts";
import { mapByName } from "../schema.ts";
import { tryJson } from "../text.ts";
import type { ImageLogin } from "./challenge.ts";
import type { LoginFinder } from "./imageregistry.ts";

/** `auth`: base64 of `USERNAME:PASSWORD` */
const LoginsText = v.object({ auths: v.optional(mapByName(v.object({ auth: v.optional(v.string(), "") })), {}) });

/** Reads such a file; the longest key that a repository begins with wins. Throws a `usage` failure. */
export function readRegistryLogins(text: string, what: string): LoginFinder {
  const parsed = v.safeParse(LoginsText, tryJson(text));
  if (!parsed.success)
    throw new Failure("usage", `${what} is not what docker login writes: a JSON object with auths, which have an auth for each registry`);
  const logins = Object.entries(parsed.output.auths).flatMap(([key, { auth }]): [string, ImageLogin][] => {
    const [username = "", ...rest] = Buffer.from(auth, "base64").toString().split(":");
    const login = { username, password: rest.join(":") };
    return login.username === "" || login.password === "" ? [] : [[placeOf(key), login]];
  });
  const sorted = logins.toSorted(([a], [b]) => b.length - a.length);
  return (repository) => sorted.find(([place]) => repository === place || repository.startsWith(`${place}/`))?.[1];
}

/** `https://index.docker.io/v1/` → `registry-1.docker.io`; `ghcr.io/juju` stays. */
function placeOf(key: string): string {
  const [domain = "", ...path] = key
    .replace(/^https?:\/\//, "")
    .replace(/\/(v[12]\/?)?$/, "")
    .split("/");
  return [apiHost(domain), ...path].join("/");
}
