/** How a machine is pointed at this store: what to type, with its real values. */

import type { SetupPart } from "../call.ts";
import { render, type Site } from "./layout.tsx";
import { Block, Command } from "./parts.tsx";

export function setupPage(site: Site, parts: readonly SetupPart[]): string {
  return render({
    site,
    section: "setup",
    title: "Set up",
    children: (
      <article>
        <header class="title plain">
          <div>
            <h1>Set up a machine</h1>
            <p class="lead">
              Everything here is for <span class="mono">{site.origin}</span>. Copy what is for your machine; nothing on this page changes
              the store.
            </p>
          </div>
        </header>
        <nav class="contents" aria-label="On this page">
          <ul>
            {parts.map(({ id, title }) => (
              <li>
                <a href={`#${id}`}>{title}</a>
              </li>
            ))}
          </ul>
        </nav>
        {parts.map(({ id, title, about, steps }) => (
          <Block id={id} title={title}>
            <p class="hint">{about}</p>
            {steps.map(({ label, text }) => (
              <>
                <h3>{label}</h3>
                <Command label={`${title}: ${label}`} text={text.trimEnd()} />
              </>
            ))}
          </Block>
        ))}
      </article>
    ),
  });
}
