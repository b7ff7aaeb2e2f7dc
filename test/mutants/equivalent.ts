/** Mutants that no test can notice, or that none should: each with why it is no fault. */
export const EQUIVALENT: Readonly<Record<string, string>> = {
  'bin/build.ts: : await left out: await Bun.write("dist/chp.mjs", scriptOf(await Bun.file("dist/chp.mjs").text(), … f3359d10':
    "the process ends when the file is written, or could not be",
  "bin/machine/child.ts: importInChild.ended: property left out: cause: error":
    "what a debugger would show: no reply and no message has it",
  "bin/machine/digests.ts: COST.sha-256: number: 800": "it is an estimate",
  "bin/machine/digests.ts: Digests.takeBuffer: default for falsy: this.#free.pop() ?? new Uint8Array(new SharedArrayBuffer(BUFFER))":
    "a buffer is an object, which is never falsy",
  "bin/machine/storekey.ts: sealerFor.find.file: default for falsy: readSettings({ environment, file: config }).get(STORE_KEY)?.values[0] ?? credentialFile(environment)":
    "a setting that names a file is never empty",
  "bin/machine/workers.ts: Workers.#start: call left out: worker.setMaxListeners(0);":
    "a task takes its listeners with it, so that no worker has more than two of a kind",
  "bin/machine/workers.ts: readIn: default for falsy: SHORT[reader] ?? SHORT.other": "none of these lengths is 0",
  "bin/machine/workfolder.ts: WorkFolder.recordWritten: boundary: bytes >= recorded + STEP":
    "a record a byte later: what a kill loses is bounded as before",
  "bin/packaging/man.ts: printingTo.terminal.err: boolean: false": "help is printed to standard output",
  "handlers/app.ts: createApp.pages.clock: default for falsy: deps.clock ?? Date.now": "a clock is a function, which is never falsy",
  "handlers/app.ts: lastId: number: 0 (2)": "a number is drawn, so the default is never taken",
  "handlers/app.ts: quickPrintable: boundary: text.length <= limit": "`printable` leaves such a text as it is too",
  "handlers/charmhub.ts: charmhubRoutes.Refreshed.#answer: number: 2": "how much of the cache a refusal takes is an estimate",
  "handlers/listen.ts: watchConnections: result replaced: () => socket.destroyed || idle.add(socket)":
    "nobody takes what a listener of an event gives",
  "handlers/listen.ts: onBun.renew: await left out: await start(0, certified).stop(true);":
    "the server that only looks at a certificate takes no port any more when `stop` returns, and nobody has asked it anything",
  "handlers/listen.ts: onBun.renew: boolean: true": "nobody has asked the server that only looks at a certificate",
  "handlers/listen.ts: onBun.start.facts.isCrowded: number: 0":
    "a server that listens on an address has a port, so the default is never taken",
  "handlers/listen.ts: onNode.closeIdle: default for falsy: perAddress ?? Number.POSITIVE_INFINITY": "the setting is 1 at least",
  "handlers/replies.ts: sized.response: condition false: status === 200 ? head : { ...head, status }":
    "200 is the status of a response that says none",
  "handlers/web/status.tsx: Failed: number: 300": "where a text of others is cut is nobody's promise",
  "handlers/web/status.tsx: Figures: boundary: ends < now": "a certificate that ends in this very millisecond",
  'src/archives/archive.ts: skip: condition false: if (got < all) throw refused("it is cut short inside an entry");':
    "the header that should follow is missing then, which is refused too",
  'src/archives/metadata.ts: revisions.attributes: default for falsy: before?.attributes ?? (isObject(described["attributes"]) ? strings(described["at… d01d1dee':
    "attributes are an object, which is never falsy",
  "src/archives/archive.ts: through: call left out: input.destroy();": "`pipeline` closes it too, where its reader stops",
  'src/archives/needs/snapfinder.ts: SnapFinder.#specs.name: default for falsy: asSnapName(fields.get("name")) ?? known.name':
    "no snap's name is empty",
  "src/archives/tarball.ts: PieceWriter.#start: method left out: [...this.#framers.entries()].toReversed()":
    "no frame around another has bytes before its content: the header of a container is a piece of its own",
  "src/archives/zip.ts: TEXTS.size: number: 32": "how much text is looked for names is nobody's promise to a MiB",
  "src/archives/zipreader.ts: entryOf.name: default for falsy: name ?? decodeName(bytes, begin, nameEnd, (flags & UTF8_NAME) !== 0)":
    "a name that is beside another has a byte at least",
  "src/catalog/base.ts: compareBases.rank: number: 1": "-2 is before all as well",
  'src/catalog/channelmap.ts: settleTrack: default for falsy: wanted[0] ?? "latest"': "no track has an empty name",
  "src/catalog/repository.ts: byDigest: boundary: a.digest < b.digest": "no two have the same digest",
  "src/errors.ts: printable.shown: number: 0 (2)": "a match has a first character, so the default is never taken",
  "src/import/reader.ts: ExportReader.#add.kind: default for falsy: file.kind ?? classify(pathInSource(file), await file.bytes.peek(HEAD_SIZE))":
    "no kind is an empty word",
  "src/import/remoteprotocol.ts: untilMark: boundary: ready <= 0": "a piece of no bytes more says nothing",
  "src/import/snapimport.ts: channelFor: number: 100": "where a text of others is cut is nobody's promise",
  "src/plainyaml.ts: PlainReader.#block: boundary: this.#at < this.#lines.length":
    "an empty line more at the end of a text is taken off again",
  "src/plainyaml.ts: unescaped.code: default for falsy: x ?? u": "it is two digits, where it is anything",
  "src/settings/authority.ts: importCryptoKey: boolean: false": "whether a key of this process may be exported again is never asked",
  'src/settings/authority.ts: loadX509: await left out: await import("reflect-metadata");':
    "what is imported first is evaluated first, whoever waits for it",
  'src/wire/quickread.ts: UNREAD: string: "unread"': "how a symbol is called that nobody prints",
  "src/wire/quickread.ts: byValibot.abortEarly: boolean: true": "it only stops earlier where something is wrong already",
  "src/wire/quickread.ts: readerOf.made: default for falsy: makeReader(schema) ?? byValibot(schema)": "a function is never falsy",
  "store/backup.ts: copyStore: by hand: await to.flush(); → {}": "`create` of format.json, which comes next, makes all before it durable",
  "store/check.ts: isChosen: boundary: Math.random() * 100 < which.percent": "no number at random is exactly there",
  'store/check.ts: showRole: default for falsy: part ?? "icon"': "no text of a package has an empty name",
  "store/fs.ts: Disk.#mkdir: by hand: this.#touched.add(dirname(folder)); → {}":
    "what is put into a new folder touches it, and the first time all above it",
  "store/fs.ts: Disk.closeSynced.ended: default for falsy: error ?? notClosed": "an error is an object, which is never falsy",
  "store/gc.ts: emptyTrash: by hand: if (!dryRun) await storage.flush(); → {}":
    "the collection flushes at its end, and nothing in between relies on it",
  "store/nextindex.ts: sectionOf: default for falsy: sections[section] ?? { changed: [], tally: {} }":
    "a draft of a section is an object, which is never falsy",
  "store/quota.ts: Quota.ended: number: 0":
    "while stages are written the bound is loose by SLACK, and a byte is nothing to that; `check` is exact",
  'store/settings.ts: StoredText.tool: string: ""': "who publishes settings overwrites it, and nobody reads it",
  "store/spool.ts: Spooled.bytes: method: Math.min":
    "pieces of a stream lie in their order in the file, so what is read beyond one is read again from the next",
  "store/store.ts: Store.snapshot: boundary: performance.now() - this.#listed >= LISTING_INTERVAL":
    "no clock is exactly there, and a listing a moment later is as good",
};

/** Mutants that live though they are faults: each with why no test notices it yet. */
export const LIVES: Readonly<Record<string, string>> = {
  "bin/build.ts: : condition true: if (names.length === 0) { await $`${process.execPath} build --target=node --form… 2dcd00ce":
    "a build for another machine makes the script for Node once more, of the same bytes",
  "bin/build.ts: : spread left out: ...process.env":
    "only a build for another machine, which fetches what it is made of, needs more of the environment",
  "bin/commands/import.ts: repair.report: equality: options.revision !== undefined":
    "a payload is found by its digest, and no list of a lone charm was found that its number alone proves",
  "handlers/charmhub.ts: charmhubRoutes.Refreshed.#answer: not left out: !outcome.refusal.message.includes(query.instanceKey)":
    "no refusal of the resolver was found that names the instance key, so that only what is kept of refusals differs",
  "handlers/charmhub.ts: charmhubRoutes.prepare: await left out: await nextTurn();": "it shows only in how long other requests wait",
  "handlers/listen.ts: watchConnections: boundary: left > 0": "that an address which has gone takes a hundred bytes is seen by nobody",
  "handlers/listen.ts: watchConnections: condition true: if (left > 0) counts.set(address, left); else counts.delete(address);":
    "that an address which has gone takes a hundred bytes is seen by nobody",
  "bin/packaging/man.ts: helpOf: throw left out: throw error;":
    "only a mistake in chp's own commands throws there, whose help and pages other tests compare",
  'src/archives/needs/sourcefiles.ts: TOOLS: string: "charms/operator_libs_linux"':
    "`make finder` compares what is found in real charms; no test has that library in one",
  "src/export/exportimages.ts: contradictions.wrong: default for falsy: sizes.get(digest) ?? size":
    "needs a blob of no bytes that two manifests list with different sizes",
  "src/wire/json.ts: checkList: await left out: await nextTurn();": "it shows only in how long other requests wait",
};
