/** The parameters of a remote import, as `chp import --to` sends and the server reads them. */

import { Failure, printable } from "../errors.ts";
import { URLS } from "./urls.ts";

/**
 * Every option of `chp import` that may come from another machine, as `--NAME` and as a parameter of the request. What
 * names files of the server, or a store, is not among them: `name` and `folder` only say where the sender's files were.
 */
export const REMOTE_OPTIONS: readonly { readonly name: string; readonly takesValue: boolean }[] = [
  { name: "channel", takesValue: true },
  { name: "revision", takesValue: true },
  { name: "keep-channels", takesValue: false },
  { name: "allow-unverified", takesValue: false },
  { name: "dry-run", takesValue: false },
  { name: "max-entries", takesValue: true },
  { name: "max-depth", takesValue: true },
  { name: "max-size", takesValue: true },
  { name: "max-ratio", takesValue: true },
  { name: "max-json", takesValue: true },
  { name: "name", takesValue: true },
  { name: "tar-of-files", takesValue: false },
  { name: "folder", takesValue: true },
];

/** The parameters of a request: those of `options`, as commander gives them, that are sent. */
export function parametersOf(options: Readonly<Record<string, unknown>>): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const { name } of REMOTE_OPTIONS) {
    const value = options[name.replace(/-./g, (part) => part.slice(1).toUpperCase())];
    if (typeof value === "string" || typeof value === "number" || value === true) parameters.set(name, String(value));
  }
  return parameters;
}

/** The parameters of a request as arguments of a command line. Throws a `usage` failure that names the wrong one. */
export function wordsOf(parameters: URLSearchParams): string[] {
  return [...parameters].map(([name, value]) => {
    const option = REMOTE_OPTIONS.find((known) => known.name === name);
    if (!option)
      throw new Failure("usage", `${printable(name, 100)} is not a parameter of ${URLS.remoteImport.pattern}`, {
        next: `known are ${REMOTE_OPTIONS.map((known) => known.name).join(", ")}`,
      });
    if (parameters.getAll(name).length > 1) throw new Failure("usage", `${name} is given more than once`);
    if (value.includes("\0")) throw new Failure("usage", `${name} holds a zero byte`);
    if (!option.takesValue && value !== "true") throw new Failure("usage", `${name} takes no value but true`);
    return option.takesValue ? `--${name}=${value}` : `--${name}`;
  });
}
