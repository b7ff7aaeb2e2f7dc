/** `chp remove` in two steps: a plan, which changes nothing; then the removal, if the store is unchanged since. */

import { readFile, writeFile } from "node:fs/promises";
import * as v from "valibot";
import { type AgentsChange, agentsDraft, withoutAgent } from "../../src/catalog/agentchange.ts";
import { agentsName, readAgentFile } from "../../src/catalog/agents.ts";
import { changeDraft, type PackageChange, removalDraft, withSection } from "../../src/catalog/drafts.ts";
import type { ChangeDraft } from "../../src/catalog/generation-types.ts";
import { pathOfReference, splitPath } from "../../src/catalog/registry.ts";
import { type Removal, removal } from "../../src/catalog/removal.ts";
import { imageDraft, imageRemoval, type RepositoryChange } from "../../src/catalog/repositorychange.ts";
import { Failure, printable, reason, refused } from "../../src/errors.ts";
import type { Snapshot } from "../../store/snapshot.ts";
import { type Io, printJson } from "../machine/io.ts";
import { openStore } from "../machine/openstore.ts";
import { findPackage, publishChange, reportChanges, unknownImages } from "./changing.ts";
import { defineCommand, type Register } from "./command.ts";
import type { FlagValues } from "./flags.ts";

const TAKES = ["plan", "apply", "force", "removeNeeded", "snap"] as const;
type RemoveFlags = FlagValues<typeof TAKES>;

const PlanSchema = v.object({
  generation: v.number(),
  name: v.string(),
  snap: v.boolean(),
  /** null: the whole package */
  revision: v.nullable(v.number()),
  uses: v.array(v.string()),
  needed: v.array(v.string()),
  /** of images: NAME, NAME:TAG or NAME@sha256:DIGEST; `name` is the repository then */
  image: v.optional(v.string()),
  /** of agents: what was named; `name` is that of their version then */
  agents: v.optional(v.string()),
});
type RemovalPlan = v.InferOutput<typeof PlanSchema>;

export const removeCommand: Register = (program, io) => {
  defineCommand(
    program,
    "remove",
    "Remove a package, a revision, images or agents (plan, then apply)",
    "0 done, 1 failed, 2 usage, 3 refused since it is used, 10 no store, 11 store format too new, 12 the store changed since the plan",
    TAKES,
  )
    .alias("rm")
    .argument(
      "[name]",
      "NAME or NAME@REVISION; of images NAME, NAME:TAG or NAME@sha256:DIGEST; of agents juju-VERSION, or one file of them",
    )
    .addHelpText(
      "after",
      `
The space is free once gc has pruned the generations that still have it.

Examples:
  chp remove kafka@195 --plan remove.json
  chp remove juju/jujud-operator:3.6.11 --plan remove.json
  chp remove juju-3.6.11-linux-arm64.tgz --plan remove.json
  chp remove --apply remove.json`,
    )
    .action((name: string | undefined, options: RemoveFlags) => runRemove(name, options, io));
};

async function runRemove(name: string | undefined, options: RemoveFlags, io: Io): Promise<void> {
  if ((name === undefined) === (options.apply === undefined))
    throw new Failure("usage", "name what to remove, or a plan with --apply", {
      next: "chp remove NAME@REVISION --plan FILE writes a plan",
    });
  if (name !== undefined) await makePlan(name, options, io);
  else await applyPlan(await readPlan(options.apply ?? ""), options, io);
}

async function makePlan(text: string, options: RemoveFlags, io: Io): Promise<void> {
  const base = await (await openStore(options, io)).snapshot();
  const target = await targetOf(base, text, options.snap ?? false);
  const { what, uses, needed } = await removalIn(base, target, text);
  const plan: RemovalPlan = { generation: base.number, ...target, uses: [...uses], needed: [...needed] };
  if (options.plan !== undefined) {
    await writeFile(options.plan, `${JSON.stringify(plan, null, 2)}\n`).catch((error: unknown) => {
      throw new Failure("failed", `cannot write ${printable(options.plan ?? "")}: ${printable(reason(error), 200)}`);
    });
  }
  if (options.json) return printJson(plan, io);
  const flags = [...(uses.length > 0 ? [" --force"] : []), ...(needed.length > 0 ? [" --yes"] : [])].join("");
  const lines = [
    `would remove ${what}`,
    ...uses.map((use) => `used: ${use}`),
    ...needed.map((need) => `machines may need: ${need}`),
    options.plan === undefined
      ? `nothing was changed; next: chp remove ${text} --plan FILE`
      : `nothing was changed; next: chp remove --apply ${options.plan}${flags}`,
  ];
  io.out(lines.map((line) => `${printable(line)}\n`).join(""));
}

type Target = Pick<RemovalPlan, "name" | "snap" | "revision" | "image" | "agents">;

/** What a text names. Fails with `not-found`, or with `usage` where several have that name. */
async function targetOf(base: Snapshot, text: string, isSnap: boolean): Promise<Target> {
  const [, name = "", number] = /^(.+?)(?:@(\d+))?$/.exec(text) ?? [];
  const file = readAgentFile(text);
  const agents = file ? agentsName(file.version) : text;
  if (!isSnap && base.namesIn("agents").includes(agents)) return { name: agents, snap: false, revision: null, agents: text };
  if (file) throw new Failure("not-found", `${text} is not stored`, { next: "chp list shows what is" });
  const image = pathOfReference(text);
  const repository = splitPath(image).name;
  const isImage = !isSnap && number === undefined && (/[:/]/.test(text) || base.repositoryNames.includes(name));
  if (!isImage) {
    const { type } = await findPackage(base, name, isSnap);
    return { name, snap: type === "snap", revision: number === undefined ? null : Number(number) };
  }
  if (base.names.includes(text) || base.snapNames.includes(text))
    throw new Failure("usage", `${text} is a package and a repository of images`, {
      next: `name its images as ${text}:TAG or ${text}@sha256:DIGEST, and the package as ${text}@REVISION`,
    });
  return { name: repository, snap: false, revision: null, image };
}

async function readPlan(file: string): Promise<RemovalPlan> {
  try {
    return v.parse(PlanSchema, JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    throw new Failure("usage", `${printable(file)} is not a plan of chp remove: ${printable(reason(error), 200)}`, { cause: error });
  }
}

async function applyPlan(plan: RemovalPlan, options: RemoveFlags, io: Io): Promise<void> {
  const store = await openStore(options, io);
  const { generation, result: changes } = await publishChange(store, new Date().toISOString(), async (base) => {
    if (base.number !== plan.generation)
      throw new Failure("conflict", `the plan is of generation ${plan.generation}, and the store is at ${base.number}`, {
        next: "make the plan anew with chp remove NAME@REVISION --plan FILE",
      });
    const text = plan.agents ?? plan.image ?? `${plan.name}${plan.revision === null ? "" : `@${plan.revision}`}`;
    const { uses, needed, draft, ...result } = await removalIn(base, plan, text);
    if (uses.length > 0 && !options.force)
      throw refused(`${plan.name} is used: ${uses.join("; ")}`, {
        next: "chp close or chp release frees a channel, chp end-override ends an override; --force removes it anyway",
      });
    if (needed.length > 0 && !options.yes)
      throw refused(`machines may still need ${needed.join("; ")}`, {
        next: "a machine without it cannot refresh any snap; --yes removes it anyway",
      });
    return { draft, result };
  });
  reportChanges(generation, changes, options, io);
}

interface PlannedRemoval extends Pick<Removal, "uses" | "needed"> {
  /** in words */
  readonly what: string;
  readonly draft: ChangeDraft;
  readonly packages?: readonly PackageChange[];
  readonly images?: readonly RepositoryChange[];
  readonly agents?: readonly AgentsChange[];
}

/** `text`: as the operator named it. */
async function removalIn(base: Snapshot, { name, snap, revision, image, agents }: Target, text: string): Promise<PlannedRemoval> {
  const packages = await base.packages();
  const command = `remove ${text}`;
  if (agents !== undefined) {
    const before = await base.stored("agents", name);
    if (!before) throw new Failure("not-found", `no agents named ${printable(name, 100)} are stored`, { next: "chp list shows what is" });
    const after = withoutAgent(before, readAgentFile(agents)?.architecture);
    const changes = [{ before, after }];
    return {
      what: `agents ${agents}`,
      uses: [],
      needed: [],
      draft: withSection(changeDraft(command, []), "agents", agentsDraft(changes)),
      agents: changes,
    };
  }
  if (image !== undefined) {
    const before = await base.repository(name);
    if (!before) throw unknownImages(base, name);
    const { uses, after } = imageRemoval(before, splitPath(image), packages, Date.now());
    const images = [{ before, after }];
    return {
      what: `images ${image}`,
      uses,
      needed: [],
      draft: withSection(changeDraft(command, []), "images", imageDraft(images)),
      images,
    };
  }
  const before = await findPackage(base, name, snap);
  const bundles = packages.filter((pkg) => pkg.type === "bundle");
  const { uses, needed, after } = removal(before, revision ?? undefined, bundles, Date.now());
  const what = `${before.type} ${name}${revision === null ? "" : ` revision ${revision}`}`;
  return { what, uses, needed, draft: removalDraft(command, before, after), packages: [{ before, after }] };
}
