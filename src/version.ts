import manifest from "../package.json" with { type: "json" };

/** Of this program, as `chp --version` prints it. */
export const VERSION: string = manifest.version;
