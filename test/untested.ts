/**
 * Texts of refusals that occur in no test, as test/refusals.test.ts finds them. It only gets shorter: who writes a test takes its row
 * out, and who adds a refusal tests it.
 */
export const UNTESTED: readonly string[] = [
  "bin/commands/remove.ts: no agents named … are stored",
  "bin/machine/servedbootstrap.ts: …… answers with status …, where Juju must get a 404",
  "bin/machine/tls.ts: cannot read the private key in …/secrets: …",
  "handlers/pieces.ts: the client went away before its reply was made",
  "src/archives/metadata.ts: it describes … and …",
  "src/assertions/clearsigned.ts: is of another kind than of a text",
  "src/assertions/clearsigned.ts: … may not sign, as its owner says; signatures of its subkeys are not taken",
  "src/assertions/openpgp.ts: the public key has no usable numbers",
  "src/assertions/openpgp.ts: has unsigned parts",
  "src/catalog/change.ts: … has no release in the track …, so a plain install would fail",
  "src/catalog/snap.ts: … … … differs from the stored revision: sha3-384 … is stored, … was given",
  "src/export/imageregistry.ts: it says that … has … bytes, and that it has …",
  "src/export/imageregistry.ts: cannot log in at …: …",
  "src/import/imageimport.ts: images …: …… is missing: it is neither in the import nor in the store",
  "src/import/remoteprotocol.ts: … is no tar, so it holds no files",
  "src/import/snapimport.ts: it gives … the snap id …, but its assertions say …",
  "store/quota.ts: the store in … may have … bytes, and this import …",
  "store/settings.ts: the settings are saved, but a later step failed: …",
];
