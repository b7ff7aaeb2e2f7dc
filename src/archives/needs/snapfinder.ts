/**
 * Which snaps a charm installs, as far as its files show. Nothing is run: literals are read, computed values are not.
 * refresh_versions.toml is written for machines, so it is certain; everything else follows the habits of charm authors.
 */

import * as v from "valibot";
import { RISKS } from "../../catalog/channel.ts";
import type { Need } from "../../catalog/need.ts";
import { mapByName, tryShape } from "../../schema.ts";
import { compareText } from "../../text.ts";
import type { CharmSources } from "./charmsources.ts";
import { asArchitecture, asChannel, asRevision, asRiskyChannel, asSnapName, type Literal, literalOf, type SnapPin } from "./literals.ts";
import type { PythonSource } from "./pythonsource.ts";
import { libraryOf, MAX_COMMAND, MAX_DEPTH, MAX_FINDINGS, MAX_NEEDS, REFRESH_VERSIONS } from "./sourcefiles.ts";
import { namesRevision, only, prefixOf, SNAP_VARIABLE, type Variables } from "./variables.ts";

/* ---- names of variables, keys and files ---- */

/** `snap_revisions.json`, `snaps.yaml`, `snap-installation.yaml` */
const SNAP_FILE = /(?:^|[-_./])snaps?(?:[-_.][^/]*)?$/;

/** Keys that describe a snap and are no names of snaps. */
const NO_NAMES = new Set<string>([
  ...RISKS,
  "latest",
  "strict",
  "classic",
  "default",
  "name",
  "channel",
  "revision",
  "revisions",
  "version",
]);

/** Where a pin without a name was found. */
interface Nameless {
  readonly pin: SnapPin;
  readonly path: string;
  readonly prefix: string;
  /** whether only the same file may name the snap */
  readonly local: boolean;
}

/** Calls whose first argument is a snap, or several. */
const INSTALLS = new Set(["install_snap", "snap_install", "ensure_snap"]);
/** The same, where they are called by the name of a module for snaps. */
const MODULE_INSTALLS = new Set(["add", "install", "ensure", "ensure_installed"]);
const SNAP_MODULE = /^_?snap(?:_?lib)?$/i;
const STATES = new Set(["latest", "present", "available", "absent"]);
/** Calls whose first argument is a command line. */
const RUNS = new Set(["run", "call", "check_call", "check_output", "Popen", "system", "getoutput"]);

const Refresh = v.object({ snap: v.object({ name: v.string(), revisions: mapByName(v.unknown()) }) });

/** A channel that a command is given; `auto`, as options say it, leaves it to the code. */
function asGivenChannel(value: Literal): string | undefined {
  return value === "auto" ? undefined : asChannel(value);
}

class SnapFinder {
  readonly #sources: CharmSources;
  readonly #variables: Variables;
  readonly #needs: Need[] = [];
  readonly #nameless: Nameless[] = [];
  /** snaps that a file names, whatever for */
  readonly #named = new Map<string, Set<string>>();

  constructor(sources: CharmSources) {
    this.#sources = sources;
    this.#variables = sources.variables;
  }

  needs(): Need[] {
    const { isOnKubernetes, snapData, scripts } = this.#sources;
    this.#refreshVersions();
    // A pod has no snapd: snaps that such a charm names are for its variant on machines.
    if (isOnKubernetes) return this.#needs;
    for (const { path, text } of scripts) this.#shell(path, text);
    for (const { path, value } of snapData)
      if (SNAP_FILE.test(path)) this.#specs(value, { path, prefix: "", variable: path.replace(/\.\w+$/, "") });
      else this.#keys(path, value, 0);
    const libraries = this.#sources.usedLibraries();
    for (const [path, file] of this.#variables.files) {
      const library = libraryOf(path);
      if (library !== undefined && !libraries.has(library)) continue;
      this.#assignments(path, file);
      if (!path.startsWith("lib/")) this.#calls(path, file);
    }
    const everywhere = new Set([...this.#named.values()].flatMap((names) => [...names]));
    const names = this.#nameless.map((nameless) => this.#nameFor(nameless, everywhere));
    for (const [i, { pin, path }] of this.#nameless.entries()) this.#add({ ...pin, name: names[i] }, path);
    return this.#needs;
  }

  #add(pin: SnapPin, path: string, sure: Need["sure"] = "likely"): void {
    const { name, revision, architecture, configured } = pin;
    if (name === undefined || this.#needs.length >= MAX_FINDINGS) return;
    const channel = pin.channel ?? (configured ? this.#configuredChannel(name) : undefined);
    this.#mention(path, name);
    this.#needs.push({
      name,
      ...(revision !== undefined && { revision }),
      ...(channel !== undefined && { channel }),
      ...(architecture !== undefined && { architecture }),
      sure,
      where: path,
    });
  }

  #mention(path: string, name: string): void {
    const names = this.#named.get(path) ?? new Set();
    this.#named.set(path, names.add(name));
  }

  /* -- files -- */

  #refreshVersions(): void {
    const snap = tryShape(Refresh, this.#sources.refreshVersions)?.snap;
    const name = snap && asSnapName(snap.name);
    if (name === undefined) return;
    for (const [key, value] of Object.entries(snap?.revisions ?? {})) {
      const [architecture, revision] = [asArchitecture(key), asRevision(literalOf(value))];
      if (architecture !== undefined && revision !== undefined) this.#add({ name, revision, architecture }, REFRESH_VERSIONS, "certain");
    }
  }

  /** The default channel of the option that says it by its name, of a snap that is installed from a channel that only a run would show. */
  #configuredChannel(snap: string): string | undefined {
    const { options } = this.#sources;
    const named = [`${snap}-snap-channel`, `${snap}-channel`, `snap-channel-${snap}`, "snap-channel"];
    for (const name of named.flatMap((each) => [each, each.replaceAll("-", "_")])) {
      const option = options.get(name);
      if (option) return asRiskyChannel(option.default);
    }
    const channel = options.get("channel");
    return channel && /\bsnap/i.test(channel.description) ? asRiskyChannel(channel.default) : undefined;
  }

  /** Looks for keys that have the names of snap variables. */
  #keys(path: string, value: Literal, depth: number): void {
    if (typeof value !== "object" || !("map" in value) || depth > MAX_DEPTH) return;
    for (const [key, inner] of value.map) {
      const prefix = typeof key === "string" ? prefixOf(key, SNAP_VARIABLE) : undefined;
      if (prefix !== undefined && typeof key === "string") this.#specs(inner, { path, prefix, variable: key });
      else this.#keys(path, inner, depth + 1);
    }
  }

  #shell(path: string, text: string): void {
    for (const line of text.replaceAll(/\\\r?\n/g, " ").split("\n")) {
      if (!line.includes("snap")) continue;
      // Quoted texts with blanks are for echo, not for snap.
      const bare = line.replaceAll(/"([^"]*)"|'([^']*)'/g, (_, a?: string, b?: string) =>
        /^[\w./=-]+$/.test(a ?? b ?? "") ? (a ?? b ?? "") : "$",
      );
      for (const part of bare.replace(/(?:^|\s)#.*/, "").split(/[;&|()`]/)) {
        const words = part.split(/\s+/).filter((word) => word !== "");
        const start = words.findIndex((word) => !/^(?:if|then|else|elif|do|while|until|!|time|exec|\w+=.*)$/.test(word));
        if (start >= 0) this.#command(path, words.slice(start));
      }
    }
  }

  /** `[sudo] snap install NAME… [--revision N] [--channel C]`; an undefined word is known only when the code runs. */
  #command(path: string, command: readonly Literal[]): void {
    const words = command[0] === "sudo" ? command.slice(1) : command;
    if (words[0] !== "snap" && words[0] !== "/usr/bin/snap") return;
    const names: Literal[] = [];
    let [revision, channel, bare]: [Literal, Literal, boolean] = [undefined, undefined, words[1] === "refresh"];
    let hasChannel = false;
    if (words[1] !== "install" && words[1] !== "download" && !bare) return;
    for (let i = 2; i < words.length; i += 1) {
      const word = words[i];
      if (typeof word !== "string" || !word.startsWith("-")) {
        names.push(word);
        continue;
      }
      const [option = "", inline] = word.split("=");
      if (option === "--dangerous") return;
      const risk = RISKS.find((name) => option === `--${name}`);
      if (risk) channel = risk;
      if (!["--revision", "--channel", "--cohort", "--name", "--basename", "--target-directory"].includes(option)) continue;
      const given = inline ?? words[i + 1];
      if (inline === undefined) i += 1;
      if (option === "--revision") revision = given;
      if (option === "--channel") [channel, hasChannel] = [given, true];
    }
    const unquoted = (value: Literal) => (typeof value === "string" ? value.replaceAll(/["']/g, "") : value);
    const pin = {
      revision: names.length === 1 ? asRevision(unquoted(revision)) : undefined,
      channel: asGivenChannel(unquoted(channel)),
      configured: hasChannel && asGivenChannel(unquoted(channel)) === undefined,
    };
    bare &&= pin.revision === undefined && pin.channel === undefined;
    if (!bare) for (const name of names) this.#add({ ...pin, name: asSnapName(name) }, path);
  }

  /* -- assignments -- */

  #assignments(path: string, file: PythonSource): void {
    const { names, channels } = this.#variables.siblings(path);
    for (const all of names.values()) for (const name of all) this.#mention(path, name);
    for (const prefix of channels.keys()) this.#add({ name: only(names.get(prefix)), channel: only(channels.get(prefix)) }, path);
    for (const [variable, values] of file.definitions)
      for (const value of values) {
        const prefix = prefixOf(variable, SNAP_VARIABLE);
        if (prefix !== undefined) this.#specs(value, { path, prefix, variable });
        else if (namesRevision(variable))
          for (const pin of this.#variables.revisions(value, path) ?? [])
            if (pin.architecture !== undefined) this.#leave({ pin, path, prefix: "", local: true });
      }
  }

  #leave(nameless: Nameless): void {
    if (this.#nameless.length < MAX_FINDINGS) this.#nameless.push(nameless);
  }

  /** The snap of a pin that has no name: that of the variable beside it, the snap with the name of its variable, or the only snap that is named. */
  #nameFor({ path, prefix, local }: Nameless, everywhere: ReadonlySet<string>): string | undefined {
    const sibling = only(this.#variables.siblings(path).names.get(prefix));
    if (sibling !== undefined) return sibling;
    const here = this.#named.get(path) ?? new Set();
    const alike = prefix.toLowerCase().replaceAll("_", "-");
    if (everywhere.has(alike) && !local) return alike;
    return only(here.size > 0 || local ? here : everywhere);
  }

  #specs(given: Literal, at: { path: string; prefix: string; variable: string }, known: SnapPin = {}, depth = 0): void {
    const { path } = at;
    const value = this.#variables.resolve(given, path);
    if (depth > MAX_DEPTH) return;
    const emit = (pin: SnapPin) => {
      const whole = { ...known, ...pin };
      if (whole.name !== undefined) this.#add(whole, path);
      else
        this.#leave({
          pin: { ...whole, channel: whole.channel ?? only(this.#variables.siblings(path).channels.get(at.prefix)) },
          path,
          prefix: at.prefix,
          local: false,
        });
    };
    const saysRevision = namesRevision(at.variable);
    if (typeof value !== "object") {
      if (saysRevision && depth === 0) for (const pin of this.#variables.revisions(value, path) ?? []) emit(pin);
      return;
    }
    if ("list" in value) {
      if (!this.#tuple(value.list, path)) for (const item of value.list) this.#specs(item, at, known, depth + 1);
      return;
    }
    if (!("map" in value)) return;

    const fields = new Map(
      value.map.flatMap(([key, inner]) => (typeof key === "string" ? [[key, this.#variables.resolve(inner, path)] as const] : [])),
    );
    const name = asSnapName(fields.get("name")) ?? known.name;
    const revisions = this.#variables.revisions(fields.get("revision") ?? fields.get("revisions"), path);
    const channel = asChannel(fields.get("channel"));
    if (revisions || channel !== undefined) {
      const named = { ...(name !== undefined && { name }), ...(channel !== undefined && { channel }) };
      for (const pin of revisions ?? [{}]) emit({ ...named, ...pin });
      return;
    }
    const byArchitecture = this.#variables.revisions(value, path);
    if (byArchitecture) {
      for (const pin of byArchitecture) emit(pin);
      return;
    }
    for (const [key, inner] of value.map) {
      const architecture = asArchitecture(key);
      const snap = known.name === undefined ? asSnapName(this.#variables.resolve(key, path)) : undefined;
      if (architecture !== undefined) this.#specs(inner, at, { ...known, architecture }, depth + 1);
      else if (snap !== undefined && NO_NAMES.has(snap)) this.#specs(inner, at, known, depth + 1);
      else if (snap !== undefined) this.#ofSnap(inner, at, { ...known, name: snap }, saysRevision, depth);
    }
  }

  /** Reads the value of a snap's name in a map. */
  #ofSnap(
    given: Literal,
    at: { path: string; prefix: string; variable: string },
    known: SnapPin,
    saysRevision: boolean,
    depth: number,
  ): void {
    const value = this.#variables.resolve(given, at.path);
    if (typeof value === "object") {
      this.#specs(value, at, known, depth + 1);
      return;
    }
    const [channel, revision] = [asRiskyChannel(value), saysRevision ? asRevision(value) : undefined];
    if (channel !== undefined || revision !== undefined) this.#add({ ...known, channel, revision }, at.path);
  }

  /** `("charmed-x", "6/edge", 123)`, `("charmed-x", {"revision": …})` */
  #tuple(list: readonly Literal[], path: string): boolean {
    const [name, ...parts] = list.slice(0, 8).map((part) => this.#variables.resolve(part, path));
    const snap = asSnapName(name);
    if (snap === undefined) return false;
    const maps = parts.filter((part) => typeof part === "object" && "map" in part);
    const channel = parts.map(asRiskyChannel).find((text) => text !== undefined);
    const revisions = parts.map((part) => this.#variables.revisions(part, path)).find((pins) => pins !== undefined);
    for (const pin of revisions ?? (channel === undefined ? [] : [{}])) this.#add({ ...pin, name: snap, channel }, path);
    if (!revisions) for (const map of maps) this.#specs(map, { path, prefix: "", variable: "" }, { name: snap, channel }, 1);
    return true;
  }

  /* -- calls -- */

  #calls(path: string, file: PythonSource): void {
    const { tokens } = file;
    const cached = tokens.some((token) => token.kind === "name" && token.text === "SnapCache");
    for (let i = 0; i < tokens.length; i += 1) {
      const token = tokens[i];
      if (token?.kind === "string") this.#commandText(path, file, i);
      else if (token?.kind === "name" && file.word(i + 1) === "(" && file.word(i - 1) !== "def") this.#call(path, file, i, cached);
      else if (token?.kind === "op" && (token.text === "[" || token.text === "(") && tokens[i + 1]?.kind === "string") {
        const list = /^(?:sudo|(?:\/usr\/bin\/)?snap)$/.test(tokens[i + 1]?.text ?? "") ? file.expression(i, file.after(i)) : undefined;
        if (typeof list === "object" && "list" in list) this.#command(path, this.#variables.words(list.list, path));
      } else if (cached && token?.text === "]") {
        const name = asSnapName(this.#variables.resolve(file.snapAt(i)?.snap, path));
        if (name !== undefined) this.#mention(path, name);
      }
    }
  }

  /** A command line in a string; without an option it is taken for a message, unless it is run at once. */
  #commandText(path: string, file: PythonSource, at: number): void {
    const text = file.tokens[at]?.text ?? "";
    if (text.length > MAX_COMMAND || !/^(?:sudo )?(?:\/usr\/bin\/)?snap \w+ /.test(text) || this.#startsStatement(file, at)) return;
    if (file.tokens[at + 1]?.kind === "string" || file.tokens[at + 1]?.kind === "unknown") return;
    const run = file.word(at - 1) === "(" && RUNS.has(file.word(at - 2));
    if (run || text.includes(" --"))
      this.#command(
        path,
        text.split(/\s+/).filter((word) => word !== ""),
      );
  }

  #startsStatement(file: PythonSource, at: number): boolean {
    const before = file.tokens[at - 1];
    return before === undefined || before.kind === "newline" || before.text === ":";
  }

  #call(path: string, file: PythonSource, at: number, cached: boolean): void {
    const name = file.word(at);
    const bound = file.word(at - 1) === ".";
    const module = bound && SNAP_MODULE.test(file.word(at - 2));
    const installs = INSTALLS.has(name) || (module && MODULE_INSTALLS.has(name));
    const ensures = bound && cached && name === "ensure";
    if (!installs && !ensures) return;

    const { positional, named } = file.arguments(at + 1);
    const given = [...positional, ...named.values()];
    if (given.some((argument) => argument === "absent" || (typeof argument === "object" && "ref" in argument && argument.ref === "Absent")))
      return;
    const channel = asGivenChannel(this.#variables.resolve(named.get("channel"), path));
    const configured = named.has("channel") && channel === undefined;
    const revisions = this.#variables.revisions(named.get("revision"), path) ?? [{}];
    const snap = ensures ? (file.snapAt(at - 2) ?? this.#variables.resolve({ ref: file.word(at - 2) }, path)) : undefined;
    const asked =
      typeof snap === "object" && "snap" in snap
        ? snap.snap
        : installs
          ? (positional[0] ?? named.get("name") ?? named.get("snap_names") ?? named.get("snap"))
          : undefined;
    const found = this.#variables.choices(asked, path, file.classAt(at));
    const [value] = found;
    const several = typeof value === "object" && "list" in value ? this.#variables.words(value.list, path) : found;
    const names = several.map(asSnapName);
    for (const installed of names)
      if (installed !== undefined && !(snap === undefined && STATES.has(installed)))
        for (const pin of revisions) this.#add({ ...(names.length === 1 && pin), name: installed, channel, configured }, path);
  }
}

/** The snaps that a charm needs. Sorted, without duplicates; never throws. */
export function snapsOf(sources: CharmSources): Need[] {
  const found = new Map<string, Need>();
  for (const need of new SnapFinder(sources).needs()) {
    const { name, revision, architecture, channel } = need;
    const key = JSON.stringify([name, revision, architecture, revision === undefined ? channel : ""]);
    const before = found.get(key);
    const better = before && (before.sure === "certain" || need.sure === "likely") ? before : need;
    const known = better.channel ?? before?.channel ?? channel;
    found.set(key, { ...better, ...(known !== undefined && { channel: known }) });
  }
  const all = [...found.values()];
  return all
    .filter((need) => !all.some((other) => saysMore(other, need)))
    .toSorted(compare)
    .slice(0, MAX_NEEDS);
}

/** Whether `a` makes `b` redundant: only `a` has a revision, or only `a` names an architecture. */
function saysMore(a: Need, b: Need): boolean {
  if (a.name !== b.name || b.sure === "certain") return false;
  const alike = a.architecture === b.architecture || a.architecture === undefined || b.architecture === undefined;
  if (b.revision === undefined) return alike && (a.revision !== undefined || (b.channel === undefined && a.channel !== undefined));
  return a.revision === b.revision && b.architecture === undefined && a.architecture !== undefined;
}

function compare(a: Need, b: Need): number {
  return (
    compareText(a.name, b.name) ||
    (a.revision ?? 0) - (b.revision ?? 0) ||
    compareText(a.architecture ?? "", b.architecture ?? "") ||
    compareText(a.channel ?? "", b.channel ?? "")
  );
}
