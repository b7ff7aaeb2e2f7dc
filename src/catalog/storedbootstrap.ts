/** What a bootstrap would find in a store, without any server. */

import type { Base } from "./base.ts";
import type { AgentKey, BootstrapSource, FoundSnap } from "./bootstrapcheck.ts";
import type { Package } from "./package.ts";
import { isComplete, type Repository, taggedManifest } from "./repository.ts";
import { resolve } from "./resolve.ts";
import type { Snap } from "./snap.ts";
import { resolveSnap } from "./snapresolve.ts";

export interface StoredForBootstrap {
  /** with overrides applied */
  readonly packages: readonly Package[];
  readonly snaps: readonly Snap[];
  readonly repositories: readonly Repository[];
  readonly agents: readonly AgentKey[];
  /** system images of clouds */
  readonly cloudImages: readonly unknown[];
}

export class StoredBootstrap implements BootstrapSource {
  readonly #stored: StoredForBootstrap;

  constructor(stored: StoredForBootstrap) {
    this.#stored = stored;
  }

  async agents(): Promise<readonly AgentKey[]> {
    return this.#stored.agents;
  }

  async hasAgent(): Promise<boolean> {
    return true;
  }

  async hasCharm(name: string, channel: string, base: Base): Promise<boolean> {
    const pkg = this.#stored.packages.find((one) => one.name === name);
    const query = { action: "install", instanceKey: "", name, channel, base, resourceRevisions: [], preferred: base.channel } as const;
    return "ok" in resolve(pkg, query);
  }

  async findSnap(name: string, channel: string, architecture: string): Promise<FoundSnap | undefined> {
    const snap = this.#stored.snaps.find((one) => one.name === name);
    const outcome = resolveSnap(snap, { action: "install", instanceKey: "", name, channel, architecture });
    return "ok" in outcome ? outcome.ok.revision : undefined;
  }

  async repositories(): Promise<readonly string[]> {
    return this.#stored.repositories.map(({ name }) => name);
  }

  async tags(repository: string): Promise<readonly string[]> {
    return Object.keys(this.#stored.repositories.find(({ name }) => name === repository)?.tags ?? {});
  }

  async hasImage(name: string, tag: string, architecture: string): Promise<boolean> {
    const repository = this.#stored.repositories.find((one) => one.name === name);
    const manifest = repository && taggedManifest(repository, tag);
    return repository !== undefined && manifest !== undefined && isComplete(repository, manifest.digest, architecture);
  }

  async cloudImages(): Promise<number> {
    return this.#stored.cloudImages.length;
  }
}
