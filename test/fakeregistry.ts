/** A small registry of the distribution API v2: HEAD of manifests, with or without a login, that remembers what it was asked. */

export interface FakeRegistryOptions {
  readonly login?: "basic" | "bearer";
  readonly tls?: { readonly cert: string; readonly key: string };
  /** `NAME@REFERENCE` → digest */
  readonly manifests: Readonly<Record<string, string>>;
  /** status of every manifest, instead of what is stored */
  readonly status?: number;
  /** where a bearer token is to be had, instead of here */
  readonly realm?: string;
}

export const LOGIN = { username: "pull", password: "pull-only-password" };
const TOKEN = "a-token-of-the-registry";

export function fakeRegistry(options: FakeRegistryOptions) {
  const { login, tls, manifests, status } = options;
  const asked: { readonly method: string; readonly path: string; readonly accept: string; readonly authorization: string }[] = [];
  let [running, most] = [0, 0];
  const basic = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString("base64")}`;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls && { tls }),
    fetch: async (request, self): Promise<Response> => {
      const { pathname, searchParams } = new URL(request.url);
      const authorization = request.headers.get("authorization") ?? "";
      asked.push({ method: request.method, path: pathname, accept: request.headers.get("accept") ?? "", authorization });
      running += 1;
      most = Math.max(most, running);
      await Bun.sleep(5);
      running -= 1;
      if (pathname === "/token") {
        const granted =
          authorization === basic && searchParams.get("scope")?.startsWith("repository:") && searchParams.get("service") === "fake";
        return granted ? Response.json({ token: TOKEN }) : new Response("", { status: 401 });
      }
      const realm = options.realm ?? `${tls ? "https" : "http"}://127.0.0.1:${self.port}/token`;
      const challenge = login === "bearer" ? `Bearer realm="${realm}",service="fake"` : 'Basic realm="fake"';
      const expected = login === "bearer" ? `Bearer ${TOKEN}` : basic;
      if (login && authorization !== expected) return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
      if (pathname === "/v2/") return Response.json({});
      const [, name = "", reference = ""] = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(decodeURIComponent(pathname)) ?? [];
      const digest = manifests[`${name}@${reference}`];
      if (status !== undefined) return new Response("", { status });
      return digest === undefined ? new Response("", { status: 404 }) : new Response("", { headers: { "docker-content-digest": digest } });
    },
  });
  return {
    domain: `127.0.0.1:${server.port}`,
    asked,
    most: () => most,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
