/** The yaml of the page replicas: its parts name each other, and its container's words and environment serve what its probes ask. */

import { afterAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import { createKey } from "../../../src/archives/signature.ts";
import { runProgram } from "../../program.ts";
import { S3Engine } from "../../s3engine.ts";
import { tempFolder } from "../../temp.ts";

interface Named {
  readonly name: string;
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
interface Container extends Named {
  readonly args: readonly string[];
  readonly env: readonly (Named & {
    readonly value?: string;
    readonly valueFrom?: { readonly secretKeyRef: Named & { readonly key: string } };
  })[];
  readonly ports: readonly (Named & { readonly containerPort: number })[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly volumeMounts: readonly (Named & { readonly mountPath: string })[];
}
type Labels = Readonly<Record<string, string>>;
interface Deployment {
  readonly kind: string;
  readonly spec: {
    readonly replicas: number;
    readonly selector: { readonly matchLabels: Labels };
    readonly template: {
      readonly metadata: { readonly labels: Labels };
      readonly spec: {
        readonly containers: readonly Container[];
        readonly volumes: readonly (Named & { readonly secret?: { readonly secretName: string } })[];
      };
    };
  };
}
interface Service {
  readonly kind: string;
  readonly spec: {
    readonly selector: Labels;
    readonly sessionAffinity: string;
    readonly ports: readonly { readonly targetPort: string }[];
  };
}
interface Budget {
  readonly kind: string;
  readonly spec: { readonly minAvailable: number; readonly selector: { readonly matchLabels: Labels } };
}

const PAGE = await Bun.file(resolve(import.meta.dir, "../../../bin/manual/replicas.md")).text();
const [, text = ""] = /^```yaml\n(apiVersion[\s\S]*?)^```$/m.exec(PAGE) ?? [];
const documents = parseAllDocuments(text, { strict: true });
const [deployment, service, budget] = documents.map((each) => each.toJS()) as [Deployment, Service, Budget];
const { template } = deployment.spec;
const { volumes } = template.spec;
const [container] = template.spec.containers as readonly [Container];

const folder = tempFolder();
const at = (path: string) => join(folder.path, path);
const engine = new S3Engine("charms");
const bucket = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: engine.fetch });
afterAll(async () => {
  await bucket.stop(true);
  folder[Symbol.dispose]();
});

test("its parts name each other", () => {
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  expect([deployment.kind, service.kind, budget.kind]).toEqual(["Deployment", "Service", "PodDisruptionBudget"]);
  const { labels } = template.metadata;
  for (const selected of [deployment.spec.selector.matchLabels, service.spec.selector, budget.spec.selector.matchLabels])
    expect(labels).toMatchObject(selected);
  expect(deployment.spec.replicas).toBeGreaterThan(budget.spec.minAvailable);
  expect(service.spec.sessionAffinity).toBe("ClientIP");
  const ports = container.ports.map(({ name }) => name);
  for (const { targetPort } of service.spec.ports) expect(ports).toContain(targetPort);
  expect(container.volumeMounts.map(({ name }) => name).toSorted()).toEqual(volumes.map(({ name }) => name).toSorted());
  // What is secret comes from the one Secret that the page's command makes.
  const secrets = [
    ...volumes.flatMap(({ secret }) => (secret ? [secret.secretName] : [])),
    ...container.env.flatMap(({ valueFrom }) => (valueFrom ? [valueFrom.secretKeyRef.name] : [])),
  ];
  expect(new Set(secrets)).toEqual(new Set(["chp"]));
  for (const { name, value, valueFrom } of container.env)
    if (/SECRET|ACCESS_KEY/.test(name)) expect([name, value, valueFrom?.secretKeyRef.key]).toEqual([name, undefined, name]);
  for (const key of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) expect(PAGE).toContain(`--from-literal=${key}=…`);
  expect(PAGE).toContain("kubectl create secret generic chp --from-file=store.key");
});

test("what its container runs answers its probes, and writes into its volumes alone", async () => {
  const aws = S3Engine.environment(`http://127.0.0.1:${bucket.port}`);
  const inside = (value: string) => (container.volumeMounts.some(({ mountPath }) => value.startsWith(mountPath)) ? at(value) : value);
  const environment = Object.fromEntries(
    container.env.map(({ name, value }) => [name, aws[name] ?? (name === "CHP_LISTEN" ? "127.0.0.1:0" : inside(value ?? ""))]),
  );
  expect(Object.keys(environment)).toEqual(expect.arrayContaining(Object.keys(aws)));
  const listens = container.env.find(({ name }) => name === "CHP_LISTEN")?.value;
  expect(listens).toBe(`0.0.0.0:${container.ports[0]?.containerPort}`);
  mkdirSync(at("/etc/chp"), { recursive: true });
  writeFileSync(at("/etc/chp/store.key"), createKey("pods").secret);
  // A secret in the store: without the key of the volume it could not be read.
  expect((await runProgram(["import-certificate", "--selfsigned"], environment)).code).toBe(0);
  const ending = new AbortController();
  const printed = Promise.withResolvers<string>();
  const ended = runProgram(container.args.map(inside), environment, "chp", ending.signal, { out: printed.resolve });
  const first = await Promise.race([printed.promise, ended]);
  if (typeof first !== "string") throw new Error(first.err);
  for (const { httpGet } of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
    expect(container.ports.map(({ name }) => name)).toContain(httpGet.port);
    const reply = await fetch(first.trim() + httpGet.path);
    expect([reply.status, ((await reply.json()) as { storage: unknown }).storage]).toEqual([200, { state: "ok" }]);
  }
  ending.abort();
  expect((await ended).code).toBe(0);
});
