/** One of several processes that create the same names of a bucket at once: prints those that it won. `PLACE ROUNDS START` */

import { s3ClientOf } from "../../bin/machine/bucket.ts";

const [place = "", rounds = "", start = ""] = process.argv.slice(2);
const client = s3ClientOf(place, process.env);
await client.head("format.json"); // connected, and the engine's clock is known
const won: number[] = [];
for (let round = 0; round < Number(rounds); round += 1) {
  const at = Number(start) + round * 40;
  await Bun.sleep(Math.max(0, at - Date.now() - 1));
  while (Date.now() < at) continue; // all at the same moment
  if (await client.create(`race/${round}`, Buffer.from(`${process.pid}`))) won.push(round);
}
console.log(JSON.stringify(won));
