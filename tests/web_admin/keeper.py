"""A keeper for the page's tests: a process of its own on a real socket, in real frames, with the real acts' requests.

`python -m tests.web_admin.keeper FOLDER` keeps a box that is only told of: nothing of the machine is changed. What the
box is stands in FOLDER/state.json and may be written by a test, with what it `refuses` (act to code, message, remedy);
what was asked is added to FOLDER/asked.jsonl.
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec

from firmware import asked
from firmware.control import ControlServer, Peer, Refusal, Room
from firmware.keeper.acts import ACTS, STATE
from firmware.keeper.addresses import Wrong, checked
from firmware.keeper.kept import NetworkSettings
from firmware.wire import BoxState, Fields

RECOVERY_KEY = "-".join(["cbdefghi", "jklnrtuv"] * 4)
STEPS = ("copying", "checking", "installing", "examining", "activating")


class Told:
    """The box, as far as it is told of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state

    def put(self, **changed: Any) -> None:
        new = self.folder / "state.new"
        new.write_text(json.dumps(self.state() | changed))
        new.replace(self.folder / "state.json")

    async def answer(self, do: str, fields: Fields, peer: Peer) -> Fields:
        if do == STATE:
            return msgspec.structs.asdict(msgspec.convert(self.state(), BoxState))
        self._asked(do, fields)
        state = self.state()
        if do in state["refuses"]:
            raise Refusal(*state["refuses"][do])
        match do:
            case "box.time":
                self.put(time={**state["time"], "zone": fields["zone"], "servers": fields["servers"]})
            case "box.network":
                wanted = {name: value for name, value in fields.items() if name != "actor"}
                try:
                    checked(NetworkSettings(**wanted), ["enp1s0", "enp2s0"])
                except Wrong as error:
                    raise Refusal("bad_request", f"box.network: {error}.", "Nothing was changed.") from error
                trial = {"seconds_left": 120, "mode": fields["mode"], "addresses": fields.get("addresses", [])}
                self.put(network={**state["network"], "trial": trial})
                return {"trial_s": 120}
            case "box.network_confirm":
                if not fields["reached_at"]:
                    raise Refusal("refused", "box.network_confirm: no address.", "Say by which it was reached.")
                self.put(network={**state["network"], "trial": None})
            case "box.network_back":
                self.put(network={**state["network"], "trial": None})
            case "box.name":
                self.put(name=fields["name"])
            case "box.ssh":
                told = {**state["ssh"], "on": fields["on"]}
                if (keys := fields.get("keys")) is not None:
                    told |= {"keys": len(keys), "comments": [key.split()[-1] for key in keys]}
                self.put(ssh=told)
            case "box.encrypt":
                ordered = "" if fields["means"] == "off" else fields["means"]
                self.put(encryption={**state["encryption"], "ordered": ordered})
            case "box.recovery_key":
                self.put(encryption={**state["encryption"], "recovery_enrolled": True})
                return {"recovery_key": RECOVERY_KEY}
            case "box.resume":
                self.put(safe_mode={})
        return {}

    async def update(self, fields: Fields, peer: Peer, room: Room) -> AsyncGenerator[Fields | None, None]:
        self._asked("box.update", fields)
        if any(slot.get("booted") and slot.get("on_trial") for slot in self.state()["slots"]):
            raise Refusal("busy", "This version is still on trial.", "Wait until it has proved itself.")
        content = await asyncio.to_thread(Path(fields["path"]).read_bytes)
        yield None
        for place, step in enumerate(STEPS):
            share = place / len(STEPS)
            self.put(update={"running": True, "share": share, "step": step})
            yield {"event": "progress", "share": share, "step": step}
            go_on = self.folder / "go-on"
            while not go_on.exists():
                await asyncio.sleep(0.05)
        if content.startswith(b"forged"):
            why = "The bundle is not signed by a key that this box trusts."
            self.put(update={"last": {"outcome": "failed", "message": why, "utc": "2026-11-22T09:14:05Z"}})
            raise Refusal("refused", why, "Take one from your supplier.")
        last = {"version": "0.3.0", "outcome": "installed", "message": "", "utc": "2026-11-22T09:14:05Z"}
        self.put(update={"waiting": "0.3.0", "last": last})
        yield {"event": "end", "reason": "done"}

    def _asked(self, do: str, fields: Fields) -> None:
        """The request must be one that the real act takes."""
        asked.converted(do, fields, ACTS[do].request)
        with (self.folder / "asked.jsonl").open("a") as file:
            file.write(json.dumps([do, fields]) + "\n")


async def serve(folder: Path) -> None:
    told = Told(folder)
    server = ControlServer(folder, told.answer, {"box.update": told.update})
    await server.start()
    sys.stdout.write("ready\n")
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
