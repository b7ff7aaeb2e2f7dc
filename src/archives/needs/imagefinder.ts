/**
 * Which images a charm names in its files, beside those of its resources. Lists of images, and options that are an image by their name,
 * are made to be read by machines, so they are certain; what manifests and variables say is likely.
 */

import { parseImageReference } from "../../catalog/imagereference.ts";
import type { ImageNeed } from "../../catalog/need.ts";
import { pathOfReference, registryOfReference, splitPath } from "../../catalog/registry.ts";
import { compareText } from "../../text.ts";
import { readYaml } from "../../yaml.ts";
import type { CharmSources } from "./charmsources.ts";
import { type Literal, literalOf } from "./literals.ts";
import { CONFIG, libraryOf, MAX_DEPTH, MAX_FINDINGS, MAX_LINE, MAX_NEEDS } from "./sourcefiles.ts";

const MAX_REFERENCE = 300;
/** characters of an option's default that is parsed */
const MAX_DEFAULT = 16 * 1024;

/** `proxy-image`, `custom_images` */
const IMAGE_NAME = /(?:^|[-_])images?(?:[-_]|$)/i;
/** A line of a manifest; an image that a template is to fill in has braces. */
const IMAGE_LINE = /^\s*(?:- +)?["']?image["']?\s*:\s*["']?([^\s"',{}#]+)["']?\s*(?:,\s*)?(?:#.*)?$/;
const IS_MANIFEST = /^["'{\s]*["']?(?:apiVersion|kind)["']?\s*:/m;

/** An image in full; undefined: the text is none. `isNamed`: whether what holds the text says that it is an image. */
function asImage(text: unknown, isNamed: boolean): string | undefined {
  if (typeof text !== "string" || text.length > MAX_REFERENCE || !/[:@]/.test(text)) return undefined;
  const parsed = parseImageReference(text);
  const domain = registryOfReference(text);
  const { name, tag, digest } = splitPath(pathOfReference(text));
  // Without a tag it is as well the name of anything; what has no folder may be a host with its port.
  if (!parsed || (tag === undefined && digest === undefined)) return undefined;
  if (!text.includes("/") && (!isNamed || digest !== undefined || /^\d+$/.test(tag ?? "") || name === "localhost")) return undefined;
  return domain !== undefined && /^(?:localhost|127\.|\[)/.test(domain) ? undefined : parsed.text;
}

class ImageFinder {
  readonly #found = new Map<string, ImageNeed>();
  readonly #sources: CharmSources;

  constructor(sources: CharmSources) {
    this.#sources = sources;
  }

  images(): ImageNeed[] {
    const { imageData, options, variables, manifests } = this.#sources;
    for (const { path, value } of imageData) this.#texts(value, path, "certain");
    for (const [name, option] of options)
      if (IMAGE_NAME.test(name))
        this.#texts(option.default, CONFIG, "certain", 0, typeof option.default === "string" && isData(option.default));
    for (const [path, file] of variables.files)
      if (libraryOf(path) === undefined && !path.startsWith("lib/"))
        for (const [name, values] of file.definitions)
          if (IMAGE_NAME.test(name)) for (const value of values) this.#texts(value, path, "likely");
    for (const { path, text } of manifests) if (IS_MANIFEST.test(text)) this.#lines(path, text);
    return [...this.#found.values()].toSorted((a, b) => compareText(a.reference, b.reference)).slice(0, MAX_NEEDS);
  }

  #add(text: unknown, path: string, sure: ImageNeed["sure"], isNamed: boolean): void {
    const reference = this.#found.size < MAX_FINDINGS ? asImage(text, isNamed) : undefined;
    if (reference === undefined) return;
    const before = this.#found.get(reference);
    if (!before || (before.sure === "likely" && sure === "certain")) this.#found.set(reference, { reference, sure, where: path });
  }

  /** Every image among the texts of a value. */
  #texts(value: Literal, path: string, sure: ImageNeed["sure"], depth = 0, isText = false): void {
    if (depth > MAX_DEPTH) return;
    if (typeof value === "string" && isText) {
      this.#texts(parsedText(value), path, sure, depth + 1);
      return;
    }
    if (typeof value !== "object") {
      this.#add(value, path, sure, sure === "certain");
      return;
    }
    const inner = "list" in value ? value.list : "map" in value ? value.map.map(([, item]) => item) : [];
    for (const item of inner) this.#texts(item, path, sure, depth + 1);
  }

  #lines(path: string, text: string): void {
    for (const line of text.split("\n"))
      if (line.length <= MAX_LINE && line.includes("image")) this.#add(IMAGE_LINE.exec(line)?.[1], path, "likely", false);
  }
}

/** Whether an option's default is a text of YAML or JSON, as of several images. */
function isData(text: string): boolean {
  return text.length <= MAX_DEFAULT && /^\s*[[{]|\n/.test(text);
}

function parsedText(text: string): Literal {
  try {
    return literalOf(readYaml(text, CONFIG));
  } catch {
    return undefined;
  }
}

/** The images that a charm's files name: in full, sorted, without duplicates; never throws. */
export function imagesOf(sources: CharmSources): ImageNeed[] {
  return new ImageFinder(sources).images();
}
