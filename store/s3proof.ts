/**
 * Proves that a bucket keeps what a store needs. Engines that ignore a condition answer 200 all the same, and two imports would publish the
 * same generation, so what they say of themselves is not asked.
 */

import { randomUUID } from "node:crypto";
import { Failure, type FailureKind } from "../src/errors.ts";
import { type S3Client, SIGNATURE_LIFE } from "./s3client.ts";

const WRITERS = 16;
const KIND: FailureKind = "failed";

/** What a bucket must keep; `broken` says what it does instead. */
export interface ProofStep {
  readonly what: string;
  readonly broken?: string;
}

/** Fails with the first thing that the bucket does not keep. */
export async function proveBucket(client: S3Client): Promise<void> {
  for (const { broken } of await bucketProof(client))
    if (broken !== undefined)
      throw new Failure(KIND, `${client.place} cannot keep a store: ${broken}`, {
        next: "use a newer release of that storage, or another: Ceph RGW, MinIO, versitygw and AWS S3 can keep one",
      });
}

/** Every step, also those after a broken one. Leaves nothing in the bucket. */
export async function bucketProof(client: S3Client): Promise<ProofStep[]> {
  const key = `proof/${randomUUID()}`;
  const bytes = Buffer.from("chp proves this bucket");
  const others = Buffer.from("chp proves this bucket once more");
  const names: string[] = [key];
  const another = () => {
    const name = `proof/${randomUUID()}`;
    names.push(name);
    return name;
  };
  const step = (what: string, broken: string | undefined): ProofStep => ({ what, ...(broken !== undefined && { broken }) });
  try {
    const round = async () =>
      (await Promise.all(Array.from({ length: WRITERS }, (_, i) => client.create(key, Buffer.from(`chp ${i}`))))).filter(Boolean).length;
    const [first, second] = [await round(), await round()];
    const steps = [
      step(
        `of ${WRITERS} that create one name at once, one succeeds`,
        first === 1 ? undefined : `${first} of ${WRITERS} that created one name at once succeeded: it ignores If-None-Match`,
      ),
      step(
        "what exists is not created again",
        second === 0 ? undefined : `${second} of ${WRITERS} created a name that exists: it ignores If-None-Match`,
      ),
    ];
    const read = await client.read(key, 0, bytes.byteLength);
    steps.push(step("what was written is read", read ? undefined : "what was written is not there when it is read"));
    const listed: string[] = [];
    for await (const entry of client.list("proof/")) listed.push(entry.key);
    steps.push(step("what was written is listed", listed.includes(key) ? undefined : "what was written is not listed at once"));

    const wrong = await client.probe({ method: "PUT", key: another(), body: others, payload: "0".repeat(64) });
    steps.push(
      step("bytes of another sha256 than was said are refused", refusal(wrong, "bytes of another sha256 than x-amz-content-sha256 says")),
    );
    const late = await client.probe({ method: "PUT", key: another(), body: bytes, time: client.now() - SIGNATURE_LIFE });
    steps.push(step("a request that was signed 20 minutes ago is refused", refusal(late, "a request that was signed 20 minutes ago")));
    const expired = client.presigned("DELETE", key, 60, {}, client.now() - 120_000);
    const over = await client.probe({ method: "DELETE", key, signed: expired });
    steps.push(step("a removal that was prepared 2 minutes ago is refused", refusal(over, "a removal that was prepared 2 minutes ago")));
    const prepared = client.presigned("DELETE", key, 60);
    await client.remove(key, prepared);
    steps.push(
      step("a removal that was prepared is carried out", (await client.head(key)) ? "a prepared removal was not carried out" : undefined),
    );
    return steps;
  } finally {
    for (const name of names) await client.remove(name).catch(() => {});
  }
}

function refusal({ status }: { readonly status: number }, what: string): string | undefined {
  return status >= 400 && status < 500 ? undefined : `it takes ${what} (status ${status})`;
}
