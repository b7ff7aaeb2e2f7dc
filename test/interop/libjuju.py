"""python-libjuju's own Charmhub code against a hub: libjuju.py URL EXPECT.json

Its model is real, but for the controller: what the code asks of that (the address of the hub in the model's configuration) is answered here.
"""

import asyncio
import json
import sys
from types import SimpleNamespace

from juju import charmhub, utils
from juju.errors import JujuError
from juju.model import Model

url, expect_file = sys.argv[1:]
with open(expect_file) as file:
    expected = json.load(file)

counts = {"passed": 0, "failed": 0}


def hub(at):
    """The Charmhub of a model whose charmhub-url is that address."""

    async def get_config():
        return {"charmhub-url": SimpleNamespace(value=at)}

    model = Model()
    model.get_config = get_config
    model.connection = lambda: SimpleNamespace(https_connection=lambda: (None, {}, ""), is_using_old_client=False)
    return model.charmhub


async def check(what, work):
    try:
        await work()
        counts["passed"] += 1
        print("ok   python-libjuju", what)
    except Exception as error:  # whatever is wrong
        counts["failed"] += 1
        print("FAIL python-libjuju", what, "-", f"{type(error).__name__}: {error}".replace("\n", " / "))


def same(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what} is {got!r}, expected {wanted!r}")


async def main():
    # It waits five seconds after each reply that is not 200, five times: what it says then is what counts.
    waits = []

    async def no_wait(seconds):
        waits.append(seconds)

    charmhub.asyncio = SimpleNamespace(sleep=no_wait)
    store = hub(url)
    for name, spec in expected.items():

        async def identity():
            same("id and name", await store.get_charm_id(name), (spec["id"], name))

        async def subordinate():
            same("subordinate", bool(await store.is_subordinate(name)), False)

        async def resources():
            found = await store.list_resources(name)
            same("resources", {each["name"]: each["revision"] for each in found}, spec["resources"])
            # As its refresh of an application does: what is deployed already is not taken again.
            deployed = {each["name"]: SimpleNamespace(origin="store", unknown_fields={"revision": each["revision"]}) for each in found}
            same("upgrades", [each["name"] for each in found if utils.should_upgrade_resource(each, deployed, {})], [])
            same("new ones", [each["name"] for each in found if not utils.should_upgrade_resource(each, {}, {})], [])

        async def channels():
            found = (await store.info(name))["channel-map"]
            same("channels", sorted(found), spec["channels"])

        async def channel():
            first = spec["channels"][0]
            found = (await store.info(name, channel=first))["channel-map"]
            same("channels", list(found), [first])
            same("revision is of the channel", found[first]["revision"]["revision"] in spec["revisions"][first], True)

        async def no_channel():
            try:
                await store.info(name, channel="9/stable")
            except JujuError as error:
                same("refusal", "channel 9/stable not found" in str(error), True)
            else:
                raise AssertionError("no error")

        works = [("id", identity), ("is subordinate", subordinate), ("info", channels), ("info by channel", channel), ("no such channel", no_channel)]
        if spec["resources"]:
            works.append(("list resources", resources))
        for what, work in works:
            await check(f"{name}: {what}", work)

    async def unknown():
        try:
            await store.get_charm_id("no-such-charm")
        except JujuError as error:
            same("error", str(error).startswith("Got 404 from "), True)
            same("tries", waits, [5] * 5)
        else:
            raise AssertionError("no error")

    await check("a name that is unknown", unknown)


asyncio.run(main())
print(f"{counts['passed']} passed, {counts['failed']} failed")
sys.exit(1 if counts["failed"] else 0)
