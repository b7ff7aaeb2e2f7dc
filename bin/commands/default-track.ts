import { chooseTrack } from "../../src/catalog/change.ts";
import { type ChangeOptions, defineChange, runChange } from "./changing.ts";
import type { Register } from "./command.ts";

export const defaultTrackCommand: Register = (program, io) => {
  defineChange(program, "default-track", "choose what a channel without a track means, whatever imports say", [
    "default-track postgresql-k8s 14",
  ])
    .argument("<name>", "charm, bundle or snap")
    .argument("<track>", "a track that has a release")
    .option("--snap", "the snap, where a charm has the same name")
    .action((name: string, track: string, options: ChangeOptions) =>
      runChange(name, `default-track ${name} ${track}`, options, io, (stored) => chooseTrack(stored, track)),
    );
};
