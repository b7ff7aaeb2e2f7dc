/** A file that was split for media: `site.tar.1of3` … `site.tar.3of3`, which `cat` joins in the order of their names. */

import { isResource } from "./names.ts";

export interface Part {
  /** of the whole file, without a folder */
  readonly whole: string;
  /** from 1 to `count` */
  readonly index: number;
  readonly count: number;
}

/** The name of part `index`, from 1 on, of `count`: the number is as wide as the count, so that names sort as numbers do. */
export function partName(whole: string, index: number, count: number): string {
  return `${whole}.${String(index).padStart(String(count).length, "0")}of${count}`;
}

/** What part a file is by its name, without a folder; undefined where it is none. */
export function partOf(name: string): Part | undefined {
  const [, whole = "", of = "", all = ""] = /^(.+)\.(\d{1,6})of([1-9]\d{0,5})$/.exec(name) ?? [];
  const [index, count] = [Number(of), Number(all)];
  const isPart = whole !== "" && index >= 1 && index <= count && partName(whole, index, count) === name;
  return isPart && !isResource(name) ? { whole, index, count } : undefined;
}

/** The list of the parts' digests, which lies beside them: what `sha256sum --check` reads. */
export function partSumsName(whole: string): string {
  return `${whole}.sha256`;
}
