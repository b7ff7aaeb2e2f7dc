/** A stand-in for the API of Kubernetes: it keeps what it is given, and refuses to run workloads, whose images it names. */

interface Stored {
  readonly [key: string]: unknown;
  readonly metadata?: { readonly name?: string; readonly generateName?: string };
}

interface Workload {
  readonly spec?: {
    readonly template?: { readonly spec?: Readonly<Record<"containers" | "initContainers", readonly { image: string }[] | undefined>> };
  };
}

/** Collections; every other path that is not stored is an object that is missing. */
const LISTS =
  /\/(namespaces|nodes|pods|services|secrets|configmaps|storageclasses|serviceaccounts|clusterroles|clusterrolebindings|roles|rolebindings|statefulsets|events|persistentvolumeclaims|customresourcedefinitions|ingressclasses|endpoints)$/;

const FAILURE = { kind: "Status", apiVersion: "v1", status: "Failure" };

/** What a cluster fills in by itself. */
const FILLED: readonly (readonly [path: string, fill: (body: Stored) => object])[] = [
  ["/services", ({ spec }) => ({ spec: { ...(spec as object), clusterIP: "10.1.2.3" } })],
  ["/secrets", ({ data }) => ({ data: { token: btoa("token"), "ca.crt": btoa("authority"), ...(data as object) } })],
];

export function kubernetesStandIn() {
  const kept = new Map<string, object>([
    [
      "/apis/storage.k8s.io/v1/storageclasses/standard",
      { kind: "StorageClass", apiVersion: "storage.k8s.io/v1", metadata: { name: "standard", uid: "u" }, provisioner: "site" },
    ],
  ]);
  const images: string[] = [];
  const answer = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === "/version") return Response.json({ major: "1", minor: "29", gitVersion: "v1.29.0" });
    const body = ["POST", "PUT", "PATCH"].includes(request.method) ? ((await request.json().catch(() => ({}))) as Stored) : {};
    if (request.method === "POST") {
      const name = body.metadata?.name ?? `${body.metadata?.generateName}1`;
      const metadata = { ...body.metadata, name, uid: `uid-${name}`, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
      const made = { ...body, metadata, ...FILLED.find(([path]) => pathname.endsWith(path))?.[1](body) };
      if (pathname.endsWith("/statefulsets")) {
        const { containers = [], initContainers = [] } = (body as Workload).spec?.template?.spec ?? {};
        images.push(...[...containers, ...initContainers].map(({ image }) => image));
        return Response.json({ ...FAILURE, reason: "Forbidden", code: 403, message: "this stand-in runs no pods" }, { status: 403 });
      }
      kept.set(`${pathname}/${name}`, made);
      return Response.json(made, { status: 201 });
    }
    if ((request.method === "PUT" || request.method === "PATCH") && kept.has(pathname))
      kept.set(pathname, { ...kept.get(pathname), ...body });
    if (request.method === "DELETE") {
      kept.delete(pathname);
      return Response.json({ kind: "Status", apiVersion: "v1", status: "Success" });
    }
    const found = kept.get(pathname);
    if (found) return Response.json(found);
    const items = [...kept].flatMap(([path, item]) => (path.slice(0, path.lastIndexOf("/")) === pathname ? [item] : []));
    if (LISTS.test(pathname)) return Response.json({ ...kindOf(pathname), metadata: { resourceVersion: "1" }, items });
    return Response.json({ ...FAILURE, reason: "NotFound", code: 404, message: "it is not there" }, { status: 404 });
  };
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  return { url: `http://127.0.0.1:${server.port}`, images, stop: () => server.stop(true) };
}

/** `NamespaceList`: clients decode a list by its kind. */
function kindOf(pathname: string): { kind: string; apiVersion: string } {
  const [, group = "v1"] = /^\/apis\/([^/]+\/[^/]+)\//.exec(pathname) ?? [];
  const plural = pathname.split("/").at(-1) ?? "";
  const kinds: Record<string, string> = {
    storageclasses: "StorageClass",
    ingressclasses: "IngressClass",
    endpoints: "Endpoints",
    configmaps: "ConfigMap",
    serviceaccounts: "ServiceAccount",
    clusterroles: "ClusterRole",
    clusterrolebindings: "ClusterRoleBinding",
    rolebindings: "RoleBinding",
    statefulsets: "StatefulSet",
    persistentvolumeclaims: "PersistentVolumeClaim",
    customresourcedefinitions: "CustomResourceDefinition",
  };
  const singular = kinds[plural] ?? `${plural[0]?.toUpperCase() ?? ""}${plural.slice(1, -1)}`;
  return { kind: `${singular}List`, apiVersion: group };
}
