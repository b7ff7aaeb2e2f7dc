import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../src/errors.ts";
import { explainDiskError, explainReadError } from "../../store/diskerrors.ts";
import { Disk } from "../../store/fs.ts";
import { tempFolder } from "../temp.ts";

const ADVICE = { unharmed: "nothing was published", elsewhere: "name another store with --store" };
const errorOf = (code: string) => Object.assign(new Error(`${code}: said by the system, fsync`), { code });

test.each(["EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EINTR", "ESTALE", "EROFS", "EACCES", "EPERM", "EFBIG"])(
  "%s has words",
  (code) => {
    const failure = explainDiskError(errorOf(code), "/store", ADVICE);
    expect(failure).toMatchObject({ kind: "failed", next: expect.any(String) });
    expect(failure).toMatchObject({
      message: expect.stringMatching(new RegExp(`^cannot write to /store: [a-z ,/-]+ \\(${code}: said by the system\\)$`)),
    });
  },
);

test.each(["EIO", "EMFILE", "EINTR"])("%s has words where something is read, and what it is about stays readable", (code) => {
  expect(explainReadError(errorOf(code), "/store", ADVICE)).toMatchObject({ message: expect.stringContaining("cannot read /store: ") });
});

test("what is missing or not allowed stays as it is where something is read", () => {
  expect(explainReadError(errorOf("EACCES"), "/store/secrets/x", { ...ADVICE, owner: "chp" })).toMatchObject({
    message: expect.stringContaining("cannot read /store/secrets/x: permission is denied"),
    next: "run it as the owner of the store: sudo -u chp chp …",
  });
  for (const code of ["ENOENT", "EXDEV"]) expect(explainReadError(errorOf(code), "/store", ADVICE)).not.toBeInstanceOf(Failure);
});

test("where a file lies in the way of a store's folder, no other folder is advised: that would be an empty store", async () => {
  using folder = tempFolder();
  const disk = new Disk(join(folder.path, "store"), { sync: false });
  await disk.prepare();
  writeFileSync(join(disk.place, "catalog"), "");
  const failure = await disk.create("catalog/0000000001.json", Buffer.from("x")).catch((error: unknown) => error);
  expect(failure).toMatchObject({ kind: "failed", next: "move that file away: chp put none there; then chp verify" });
});
