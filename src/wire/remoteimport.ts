/** The parameters of a remote import, as `chp import --to` sends and the server reads them. */

import { Failure, printable } from "../errors.ts";
import { parseSize } from "../text.ts";
import { URLS } from "./urls.ts";

/** An option of `chp import` that may come from another machine, as `--NAME` and as a parameter of the request. */
export interface RemoteOption {
  readonly name: string;
  readonly takesValue: boolean;
}

/** The most that a request may ask of a limit of the import, which also holds where it asks nothing. */
export interface Cap {
  readonly name: string;
  readonly most: number;
  /** the setting that it comes from */
  readonly setting: string;
}

/** The parameters of a request for `options`, as commander gives them: those that are in the list of `allowed`. */
export function parametersOf(options: Readonly<Record<string, unknown>>, allowed: readonly RemoteOption[]): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const { name } of allowed) {
    const value = options[name.replace(/-./g, (part) => part.slice(1).toUpperCase())];
    if (typeof value === "string" || typeof value === "number" || value === true) parameters.set(name, String(value));
  }
  return parameters;
}

/** The parameters of a request as words of a command line. Throws a `usage` failure that names one that is not allowed, or is wrong. */
export function wordsOf(parameters: URLSearchParams, allowed: readonly RemoteOption[], caps: readonly Cap[] = []): string[] {
  for (const cap of caps) checkCap(parameters, cap);
  const own = caps.filter(({ name }) => !parameters.has(name)).map(({ name, most }) => `--${name}=${most}`);
  const asked = [...parameters].map(([name, value]) => {
    const option = allowed.find((known) => known.name === name);
    if (!option)
      throw new Failure("usage", `${printable(name, 100)} is not a parameter of ${URLS.remoteImport.pattern}`, {
        next: `known are ${allowed.map((known) => known.name).join(", ")}`,
      });
    if (parameters.getAll(name).length > 1) throw new Failure("usage", `${name} is given more than once`);
    if (value.includes("\0")) throw new Failure("usage", `${name} holds a zero byte`);
    if (!option.takesValue && value !== "true") throw new Failure("usage", `${name} takes no value but true`);
    return option.takesValue ? `--${name}=${value}` : `--${name}`;
  });
  return [...own, ...asked];
}

function checkCap(parameters: URLSearchParams, { name, most, setting }: Cap): void {
  const value = parameters.get(name);
  const size = value === null ? 1 : parseSize(value);
  if (size === undefined || size < 1)
    throw new Failure("usage", `${name} takes a number, or a size like 4G, not ${printable(value ?? "", 50)}`);
  if (size > most)
    throw new Failure("usage", `${name} is at most ${most} for imports from other machines`, {
      next: `ask for less; there: chp config ${setting}=${printable(value ?? "", 50)} allows it`,
    });
}
