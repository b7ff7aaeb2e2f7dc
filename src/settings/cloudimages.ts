/** Reads the setting `image-metadata`: a YAML text that names the system images of the site's clouds. */

import * as v from "valibot";
import { ARCHITECTURES, parseSystem } from "../catalog/base.ts";
import { type CloudImage, cloudImageKey } from "../catalog/cloudimage.ts";
import { printable, refused } from "../errors.ts";
import { isObject } from "../schema.ts";
import { nearestWord } from "../text.ts";
import { readYaml } from "../yaml.ts";

/** Images that one text may name. */
const MOST = 2000;

const Word = v.pipe(v.string("is not a word"), v.nonEmpty("is empty"), v.regex(/^[\x21-\x7e]{1,300}$/, "is not one word of plain ASCII"));
const Endpoint = v.pipe(
  Word,
  v.check((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), "is not a URL that begins with http:// or https://"),
);
const SHARED = {
  region: v.optional(Word),
  endpoint: v.optional(Endpoint),
  arch: v.optional(v.picklist(ARCHITECTURES, `is not one of ${ARCHITECTURES.join(", ")}`)),
  virt: v.optional(Word),
  "root-store": v.optional(Word),
  stream: v.optional(v.pipe(Word, v.regex(/^[a-z0-9-]+$/, "is not a stream, like released or daily"))),
};
const ENTRY = { ...SHARED, id: Word, base: Word };
const Entry = v.object(ENTRY);
const FILE = { ...SHARED, images: v.array(v.unknown(), "is not a list") };
const File = v.object(FILE);

/** Reads the text. Keys beside `images` are the defaults of its entries. Throws a `refused` failure that names the entry and its field. */
export function readCloudImages(text: string): CloudImage[] {
  const { images, ...shared } = checkFields(File, FILE, readYaml(text, "it", "failsafe"), "");
  if (images.length === 0) throw refused("images is empty");
  if (images.length > MOST) throw refused(`images has more than ${MOST} entries`);
  const seen = new Map<string, CloudImage>();
  return images.map((value, i) => {
    const at = `images.${i}`;
    const entry = { ...shared, ...checkFields(Entry, ENTRY, value, at) };
    const { id, virt, "root-store": storage, stream = "released" } = entry;
    const system = parseSystem(entry.base);
    if (!system) throw refused(`${at}.base: ${printable(entry.base, 50)} is neither a base like ubuntu@24.04 nor a series like noble`);
    const architecture = needed(entry.arch, at, "arch");
    const region = needed(entry.region, at, "region");
    const image: CloudImage = {
      id,
      system,
      architecture,
      region,
      endpoint: needed(entry.endpoint, at, "endpoint").replace(/\/+$/, ""),
      ...(virt !== undefined && { virt }),
      ...(storage !== undefined && { storage }),
      stream,
    };
    const key = cloudImageKey(image);
    const other = seen.get(key);
    if (other)
      throw refused(
        `${at}: ${other.id} is for ${system.name}@${system.channel} ${architecture} in ${region} already: Juju could not choose`,
      );
    seen.set(key, image);
    return image;
  });
}

function needed<T>(value: T | undefined, at: string, field: string): T {
  if (value === undefined) throw refused(`${at}.${field} is missing; at the top it is for all images`);
  return value;
}

/** `3 images in RegionOne` */
export function showCloudImages(images: readonly CloudImage[]): string {
  const regions = [...new Set(images.map(({ region }) => region))];
  return `${images.length} ${images.length === 1 ? "image" : "images"} in ${regions.join(", ")}`;
}

/** `at`: the place of the value, empty at the top. */
function checkFields<T extends v.GenericSchema>(schema: T, known: object, value: unknown, at: string): v.InferOutput<T> {
  if (!isObject(value)) throw refused(`${at === "" ? "it" : at} is not a map of keys to what they say`);
  const within = (field: string) => `${at}${at === "" ? "" : "."}${printable(field, 100)}`;
  const strange = Object.keys(value).find((key) => !Object.hasOwn(known, key));
  if (strange !== undefined) {
    const meant = nearestWord(strange, Object.keys(known));
    throw refused(
      `${within(strange)} is no key; ${meant === undefined ? `there are ${Object.keys(known).join(", ")}` : `did you mean ${meant}?`}`,
    );
  }
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw refused(`${within(v.getDotPath(issue) ?? "")} ${issue.received === "undefined" ? "is missing" : issue.message}`);
}
