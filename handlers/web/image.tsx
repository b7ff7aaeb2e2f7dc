/** The page of a repository of images. */

import { type NeededImage, showNeededBy } from "../../src/catalog/images.ts";
import type { Origin } from "../../src/catalog/provenance.ts";
import { architecturesOf, type Repository, showManifestKind, sizeBelow, sizeOfBlobs } from "../../src/catalog/repository.ts";
import type { ImageTally } from "../../src/catalog/sections.ts";
import { digestText } from "../../src/digest.ts";
import { PAGE_URLS } from "../../src/wire/urls.ts";
import { render, type Site } from "./layout.tsx";
import { MOST_ROWS } from "./package.tsx";
import { Top } from "./packageparts.tsx";
import { Block, CameFrom, Command, count, cut, Facts, Notice, Scroll, Size } from "./parts.tsx";

export interface ImageView {
  readonly repository: Repository;
  /** the charms that need an image of it */
  readonly needed: readonly NeededImage[];
  readonly origins: readonly Origin<ImageTally>[];
  /** whether clients must log in to pull */
  readonly hasLogin: boolean;
}

export function imagePage(site: Site, { repository, needed, origins, hasLogin }: ImageView): string {
  const { name, tags, manifests, blobs } = repository;
  const { host, pathname } = new URL(site.origin);
  const [first] = Object.keys(tags);
  const top = manifests.filter((manifest) => manifest.manifests || manifest.platform === undefined);
  const reference = first === undefined ? `@${digestText((top[0] ?? manifests[0])?.digest ?? ("" as never))}` : `:${first}`;
  return render({
    site,
    section: "list",
    title: cut(name, 60),
    children: (
      <article class="package">
        <Top site={site} kind="image" name={name} title={name} summary="" publisher={undefined} />
        <div class="columns">
          <div class="text">
            <Block id="pull" title="Pull">
              {pathname === "/" ? (
                <>
                  <Command label={`Pull ${name} with podman`} text={`podman pull ${host}/${name}${reference}`} />
                  <Command
                    label={`Pull ${name} with containerd`}
                    text={`sudo ctr images pull ${hasLogin ? "--user USER " : ""}${host}/${name}${reference}`}
                  />
                  {hasLogin ? (
                    <p class="hint">
                      This store asks for a login: <span class="mono">podman login {host}</span> first.
                    </p>
                  ) : null}
                </>
              ) : (
                <Notice kind="plain">The public URL of this store has a path, which references of images have no place for.</Notice>
              )}
            </Block>
            <Tags repository={repository} />
            <Manifests repository={repository} />
            {needed.length === 0 ? null : (
              <Block id="needed" title="Needed by">
                <ul class="plain">
                  {needed.flatMap(({ upstream, neededBy }) =>
                    neededBy.map((user) => (
                      <li>
                        <a href={site.prefix + PAGE_URLS.charm.build({ name: user.charm })}>{cut(showNeededBy(user))}</a>
                        <span class="sub muted mono break">{cut(upstream, 300)}</span>
                      </li>
                    )),
                  )}
                </ul>
              </Block>
            )}
            <CameFrom
              origins={origins}
              added={({ manifests: number, tags: named }) =>
                [count(number, "manifest"), ...(named.length > 0 ? [cut(named.join(", "))] : [])].join(", ")
              }
            />
          </div>
          <aside class="beside" aria-label="Facts">
            <Facts
              rows={[
                ["Size", <Size bytes={sizeOfBlobs(blobs)} />],
                ["Tags", String(Object.keys(tags).length)],
                ["Manifests", String(manifests.length)],
                ["Blobs", String(blobs.length)],
              ]}
            />
          </aside>
        </div>
      </article>
    ),
  });
}

function Tags({ repository }: { readonly repository: Repository }) {
  const all = Object.entries(repository.tags);
  if (all.length === 0) return null;
  return (
    <Block id="tags" title="Tags">
      <Scroll label="Tags">
        <table>
          <thead>
            <tr>
              <th scope="col">Tag</th>
              <th scope="col">Architectures</th>
              <th scope="col" class="number">
                Size
              </th>
              <th scope="col">Digest</th>
            </tr>
          </thead>
          <tbody>
            {all.slice(0, MOST_ROWS).map(([tag, digest]) => (
              <tr>
                <th scope="row" class="mono">
                  {cut(tag)}
                </th>
                <td>{cut(architecturesOf(repository, digest).join(", "))}</td>
                <td class="number">
                  <Size bytes={sizeBelow(repository, digest)} />
                </td>
                <td class="digest muted">{digestText(digest)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {all.length > MOST_ROWS ? <p class="muted">{`and ${all.length - MOST_ROWS} more`}</p> : null}
    </Block>
  );
}

function Manifests({ repository }: { readonly repository: Repository }) {
  const { manifests } = repository;
  return (
    <Block id="manifests" title="Manifests">
      <ul class="files">
        {manifests.slice(0, MOST_ROWS).map((manifest) => (
          <li>
            <div class="line">
              <span class="about">{cut(showManifestKind(manifest))}</span>
              <span class="get">
                <Size bytes={sizeBelow(repository, manifest.digest)} />
              </span>
            </div>
            <p class="muted digest">{digestText(manifest.digest)}</p>
          </li>
        ))}
      </ul>
      {manifests.length > MOST_ROWS ? <p class="muted">{`and ${manifests.length - MOST_ROWS} more`}</p> : null}
    </Block>
  );
}
