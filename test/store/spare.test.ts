import { expect, test } from "bun:test";
import { keepSpare, withSpare } from "../../store/spare.ts";

const errorOf = (code: string) => Object.assign(new Error(code), { code });
const failing = (code: string) => () => Promise.reject(errorOf(code));

test("a read that finds too many files open is done in place of the spare descriptor, each time", async () => {
  const read = () => withSpare(failing("EMFILE"), () => "read");
  keepSpare();
  expect([await read(), await read()]).toEqual(["read", "read"]);
  const twice = withSpare(failing("EMFILE"), () => {
    throw errorOf("EIO");
  });
  expect(await twice.catch((error: Error) => error.message)).toBe("EIO");
  expect(await read()).toBe("read");
});

test("no other error is answered by it", async () => {
  keepSpare();
  for (const code of ["ENOENT", "ENFILE", "EIO"])
    expect(await withSpare(failing(code), () => "read").catch((error: Error) => error.message)).toBe(code);
  expect(
    await withSpare(
      async () => "first",
      () => "second",
    ),
  ).toBe("first");
});
