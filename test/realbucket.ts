/** The bucket that `make replicas` names in the environment of a test; undefined: there is none, and tests ask the engine of this process alone. */

import { s3ClientOf } from "../bin/machine/bucket.ts";
import type { S3Client } from "../store/s3client.ts";

/** Each client has a prefix of its own. */
export function realBucket(): (() => S3Client) | undefined {
  const bucket = process.env["CHP_TEST_BUCKET"];
  if (bucket === undefined) return undefined;
  return () => s3ClientOf(`s3://${bucket}/${crypto.randomUUID()}`, process.env);
}
