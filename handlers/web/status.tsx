/** How this store is: what it has, what is missing, what fails. Nothing can be changed here. */

import type { Generation, UnreadablePackage } from "../../src/catalog/generation-types.ts";
import type { NeededImage } from "../../src/catalog/images.ts";
import { showNeededBy } from "../../src/catalog/images.ts";
import type { Kind } from "../../src/catalog/listing.ts";
import type { OverrideFacts } from "../../src/catalog/override.ts";
import { type NeededSnap, showNeed } from "../../src/catalog/snapneeds.ts";
import { reason } from "../../src/errors.ts";
import type { MachineFacts } from "../call.ts";
import type { MissingRequest } from "../missingrequests.ts";
import { render, type Site } from "./layout.tsx";
import { Block, count, cut, Day, Moment, Notice, pathOf, Said, Scroll, Size, Tag } from "./parts.tsx";

/** What a generation decides; computed once for each. */
export interface StoreState {
  readonly counts: Readonly<Record<Kind, number>>;
  readonly revisions: number;
  /** bytes of all stored payloads */
  readonly size: number;
  readonly missingSnaps: readonly NeededSnap[];
  readonly missingImages: readonly NeededImage[];
  readonly overrides: readonly OverrideFacts[];
  /** snaps without valid assertions, `NAME REVISION` */
  readonly unverified: readonly string[];
  readonly unreadable: readonly UnreadablePackage[];
}

export interface StatusView {
  readonly generation: Generation | undefined;
  /** newest first */
  readonly imports: readonly Generation[];
  readonly state: StoreState;
  readonly failed: readonly MissingRequest[];
  readonly machine: MachineFacts;
  /** why an earlier generation is served instead of the newest */
  readonly damage: string | undefined;
  /** the registry besides chp that images are pulled from */
  readonly registry: string | undefined;
  /** milliseconds */
  readonly now: number;
}

const MOST = 100;
const MONTH = 30 * 24 * 60 * 60 * 1000;

export function statusPage(site: Site, view: StatusView): string {
  const { generation, imports, state, failed, machine, damage, registry } = view;
  const problems = problemsOf(view);
  return render({
    site,
    section: "status",
    title: "Status",
    children: (
      <article>
        <header class="title plain">
          <div>
            <h1>Status</h1>
            <p class="lead">
              {generation ? (
                <>
                  Generation {generation.number}, made <Moment time={generation.time} />.
                </>
              ) : (
                "Nothing was imported yet."
              )}
            </p>
          </div>
        </header>
        {problems.length === 0 ? (
          <Notice kind="good">Nothing is missing, damaged or about to end, as far as this store knows.</Notice>
        ) : (
          <Notice kind="bad">
            <ul class="plain">
              {problems.map(([text, anchor]) => (
                <li>{anchor === undefined ? text : <a href={`#${anchor}`}>{text}</a>}</li>
              ))}
            </ul>
          </Notice>
        )}
        <Figures state={state} machine={machine} now={view.now} />
        <Damage damage={damage} unreadable={state.unreadable} />
        <Failed failed={failed} />
        <Missing site={site} state={state} registry={registry} />
        <Overrides site={site} overrides={state.overrides} />
        <Imports imports={imports} />
        {machine.notes.length === 0 ? null : (
          <Block id="notes" title="Notes">
            <ul class="plain">
              {machine.notes.map((note) => (
                <li>{cut(note.charAt(0).toUpperCase() + note.slice(1), 600)}</li>
              ))}
            </ul>
          </Block>
        )}
      </article>
    ),
  });
}

/** In a line each, the worst first, with where the page says more. */
function problemsOf({ state, failed, damage, machine, registry, now }: StatusView): (readonly [string, string?])[] {
  const images = registry === undefined ? state.missingImages.length : 0;
  const snaps = state.missingSnaps.filter(({ sure }) => sure === "certain").length;
  const ends = machine.certificate && Date.parse(machine.certificate.notAfter) - now;
  return [
    ...(damage === undefined && state.unreadable.length === 0 ? [] : [["Something in the store is damaged.", "damage"] as const]),
    ...(ends !== undefined && ends < MONTH
      ? [[ends < 0 ? "The certificate has expired." : "The certificate expires soon.", "figures"] as const]
      : []),
    ...(snaps > 0
      ? [[`${count(snaps, "snap")} that stored packages need ${snaps === 1 ? "is" : "are"} missing.`, "missing"] as const]
      : []),
    ...(images > 0 ? [[`${count(images, "image")} that charms need ${images === 1 ? "is" : "are"} missing.`, "missing"] as const] : []),
    ...(failed.length > 0
      ? [[`Clients asked for ${count(failed.length, "thing")} that ${failed.length === 1 ? "is" : "are"} not stored.`, "failed"] as const]
      : []),
    ...(state.unverified.length > 0
      ? [
          [
            `${count(state.unverified.length, "snap revision")} without valid assertions: ${cut(state.unverified.join(", "), 300)}.`,
          ] as const,
        ]
      : []),
  ];
}

function Figures({ state, machine, now }: { readonly state: StoreState; readonly machine: MachineFacts; readonly now: number }) {
  const { counts, revisions, size } = state;
  const ends = machine.certificate && Date.parse(machine.certificate.notAfter);
  return (
    <section id="figures" aria-label="In numbers">
      <dl class="figures">
        <Figure name="Charms" value={String(counts.charm)} />
        <Figure name="Bundles" value={String(counts.bundle)} />
        <Figure name="Snaps" value={String(counts.snap)} />
        <Figure name="Images" value={String(counts.image)} />
        <Figure name="Agents of Juju" value={String(counts.agent)} />
        <Figure name="Revisions" value={String(revisions)} />
        <Figure name="Stored" value={<Size bytes={size} />} />
        {machine.free === undefined ? null : <Figure name="Free on its disk" value={<Size bytes={machine.free} />} />}
        {ends === undefined || !machine.certificate ? null : (
          <Figure
            name="Certificate until"
            value={
              <>
                <Day time={machine.certificate.notAfter} /> {ends < now ? <Tag kind="bad">expired</Tag> : null}
              </>
            }
          />
        )}
      </dl>
    </section>
  );
}

function Figure({ name, value }: { readonly name: string; readonly value: string | ReturnType<typeof Size> }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Damage({ damage, unreadable }: { readonly damage: string | undefined; readonly unreadable: readonly UnreadablePackage[] }) {
  if (damage === undefined && unreadable.length === 0) return null;
  return (
    <Block id="damage" title="Damaged">
      <ul class="plain">
        {damage === undefined ? null : <li>An earlier generation is served: {cut(damage, 600)}</li>}
        {unreadable.slice(0, MOST).map(({ name, failure }) => (
          <li>
            <strong>{cut(name)}</strong> <span class="muted">{cut(reason(failure), 600)}</span>
          </li>
        ))}
      </ul>
      <p class="hint">
        <span class="mono">chp verify</span> says what to import again.
      </p>
    </Block>
  );
}

function Failed({ failed }: { readonly failed: readonly MissingRequest[] }) {
  return (
    <Block id="failed" title="Failed requests">
      {failed.length === 0 ? <p class="muted">Since this server started, no client asked for something that is not stored.</p> : null}
      {failed.length === 0 ? null : (
        <Scroll label="Failed requests">
          <table>
            <thead>
              <tr>
                <th scope="col">Not found</th>
                <th scope="col" class="number">
                  Times
                </th>
                <th scope="col">Last</th>
              </tr>
            </thead>
            <tbody>
              {failed.slice(0, MOST).map(({ what, times, last }) => (
                <tr>
                  <th scope="row">{cut(what, 300)}</th>
                  <td class="number">{times}</td>
                  <td>
                    <Moment time={last} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {failed.length > MOST ? <p class="muted">{`and ${failed.length - MOST} more`}</p> : null}
    </Block>
  );
}

function Missing({ site, state, registry }: { readonly site: Site; readonly state: StoreState; readonly registry: string | undefined }) {
  const { missingSnaps, missingImages } = state;
  const images = registry === undefined ? missingImages : [];
  return (
    <Block id="missing" title="Missing">
      {missingSnaps.length + images.length === 0 ? <p class="muted">All snaps and images that are known to be needed are stored.</p> : null}
      <ul class="needs">
        {missingSnaps.slice(0, MOST).map((need) => (
          <li>
            <span class="is">
              <Tag kind="bad">snap</Tag>
            </span>
            <span>
              <strong>{cut(showNeed(need))}</strong> {need.sure === "certain" ? null : <span class="muted">(likely)</span>}
              <span class="sub muted">needed by {cut(need.by.join(", "), 300)}</span>
            </span>
          </li>
        ))}
        {images.slice(0, MOST).map(({ upstream, neededBy }) => (
          <li>
            <span class="is">
              <Tag kind="bad">image</Tag>
            </span>
            <span>
              {neededBy
                .slice(0, 5)
                .map((user, i) => [
                  i > 0 ? ", " : "",
                  <a href={pathOf(site, { kind: "charm", name: user.charm })}>{cut(showNeededBy(user))}</a>,
                ])}
              {neededBy.length > 5 ? ` and ${neededBy.length - 5} more` : ""}
              <span class="muted digest sub">{cut(upstream, 300)}</span>
            </span>
          </li>
        ))}
      </ul>
      {missingSnaps.length > MOST || images.length > MOST ? <p class="muted">The list is cut: chp missing shows all of it.</p> : null}
      {registry === undefined || missingImages.length === 0 ? null : (
        <p class="muted">
          Images are pulled from <span class="mono">{registry}</span>: this store does not know which of them are there.
        </p>
      )}
      {missingSnaps.length + images.length === 0 ? null : (
        <p class="hint">
          <span class="mono">chp missing --yaml</span> writes what to export on the connected side.
        </p>
      )}
    </Block>
  );
}

function Overrides({ site, overrides }: { readonly site: Site; readonly overrides: readonly OverrideFacts[] }) {
  if (overrides.length === 0) return null;
  return (
    <Block id="overrides" title="Overrides">
      <ul class="needs">
        {overrides.slice(0, MOST).map((facts) => (
          <li>
            <span class="is">
              <Tag kind={facts.state === "in force" ? "plain" : "bad"}>{facts.state}</Tag>
            </span>
            <span>
              <a href={pathOf(site, { kind: facts.type, name: facts.name })}>{cut(facts.name)}</a>{" "}
              <span class="mono">
                {cut(facts.channel)} {cut(facts.on)}
              </span>{" "}
              pinned to {facts.revision}
              {facts.without === null || facts.without === facts.revision ? "" : ` instead of ${facts.without}`}
              <span class="sub muted">
                <Said text={facts.reason} most="line" />
                {facts.until === null ? ", without an end" : [", until ", <Moment time={facts.until} />]}
              </span>
            </span>
          </li>
        ))}
      </ul>
      {overrides.length > MOST ? <p class="muted">{`and ${overrides.length - MOST} more`}</p> : null}
    </Block>
  );
}

function Imports({ imports }: { readonly imports: readonly Generation[] }) {
  if (imports.length === 0) return null;
  return (
    <Block id="imports" title="Last changes">
      <ol class="origins">
        {imports.map(({ number, time, command, sources }) => (
          <li>
            <p class="head">
              <span>Generation {number}</span> <Moment time={time} /> <span class="mono muted clip">{cut(command, 120)}</span>
            </p>
            {sources.slice(0, 10).map(({ name, size, signers, unsigned }) => (
              <p class="source">
                <span class="mono">
                  <Said text={name} most="line" />
                </span>{" "}
                <span class="muted">
                  <Size bytes={size} />
                </span>{" "}
                {signers && signers.length > 0 ? (
                  <>
                    signed by <Said text={signers.map((signer) => (signer.name === "" ? signer.key : signer.name)).join(" and ")} />
                  </>
                ) : (
                  <Tag kind={unsigned ? "bad" : "plain"}>not signed</Tag>
                )}
              </p>
            ))}
            {sources.length > 10 ? <p class="muted">{`and ${sources.length - 10} more files`}</p> : null}
          </li>
        ))}
      </ol>
    </Block>
  );
}
