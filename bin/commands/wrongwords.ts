/** Words of neighbouring programs, and documented commands without a meaning here: each fails with the reason or the command that does it. */

import { Failure } from "../../src/errors.ts";
import type { Register } from "./command.ts";

const NO_ACCOUNTS = "chp has no accounts and needs no login";
const NOT_REGISTERED = "chp needs no registration: a registered store's proxy.assert is imported by chp import";
const NO_DATABASE = "chp has no database: the store is one folder";

/** Word → why it is not a command, and what to type instead. */
export const WRONG_WORDS: Readonly<Record<string, readonly [reason: string, next: string]>> = {
  init: ["there is nothing to initialize: the first import makes the store", "chp import FILE"],
  login: [NO_ACCOUNTS, "chp import FILE"],
  logout: [NO_ACCOUNTS, "chp import FILE"],
  load: ["archives are imported", "chp import FILE"],
  push: ["archives are imported", "chp import FILE"],
  pull: ["chp is always offline: archives are exported on a connected machine", "chp export -f site.yaml"],
  sync: ["chp is always offline: archives are exported on a connected machine", "chp export -f site.yaml --since have.json"],
  get: ["packages are listed and shown here, and exported on a connected machine", "chp show NAME"],
  start: ["chp runs in the foreground, or as a service", "chp serve"],
  register: [NOT_REGISTERED, "chp help enterprise-store"],
  "generate-keys": ["chp signs exports only", "chp keygen FILE"],
  "create-database": [NO_DATABASE, "chp import FILE"],
  "check-connections": ["chp opens no connection outside", "chp doctor"],
  "fetch-snaps": ["snaps are exported on a connected machine", "chp export snaps NAME"],
  "add-admin": [NO_ACCOUNTS, "chp token NAME"],
  "remove-admin": [NO_ACCOUNTS, "chp token NAME --revoke"],
  "list-admins": [NO_ACCOUNTS, "chp token --list"],
  reregister: [NOT_REGISTERED, "chp help enterprise-store"],
  "enable-fips": ["chp has no such mode", "chp help security"],
};

export const wrongWords: Register = (program) => {
  for (const [word, [reason, next]] of Object.entries(WRONG_WORDS))
    program
      .command(word, { hidden: true })
      .argument("[words...]")
      .allowUnknownOption()
      .helpOption(false)
      .action(() => {
        throw new Failure("usage", `${word} is no command of chp: ${reason}`, { next });
      });
};
