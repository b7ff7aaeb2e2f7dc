import { expect, test } from "bun:test";
import { checkRegistryDomain } from "../../../src/catalog/registry.ts";

test.each(["hub.lan", "hub.lan:5000", "hub:5000", "localhost", "192.0.2.1", "[fd00::1]:5000"])(
  "%s is where a registry may be",
  (domain) => {
    expect(checkRegistryDomain(domain)).toBe(domain);
  },
);

test.each([
  ["hub", "hub has neither a dot nor a port, so it would be read as a folder of docker.io: give hub:PORT or its full name"],
  ["https://hub.lan", "https://hub.lan begins with a protocol: give the domain alone, as host or host:port"],
  ["hub.lan/images", "hub.lan/images has a path: give the domain alone, as host or host:port"],
  ["hub.lan:", "hub.lan: is not host or host:port"],
  ["-hub.lan", "-hub.lan is not host or host:port"],
])("%s is none: %s", (text, why) => {
  expect(() => checkRegistryDomain(text)).toThrow(why);
});
