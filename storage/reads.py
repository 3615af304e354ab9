"""Reads over the bus: what an agent asks of the sidecar."""

from typing import Any, Final

import msgspec

from bus import Bus, BusError

#: The queue that all sidecars of a namespace answer.
READS: Final = "storage.reads"

#: What a sidecar says in its state of whether it handles only what is signed.
SIGNATURES: Final = "signatures"
REQUIRED: Final = "required"


class ReadRequest(msgspec.Struct, frozen=True):
    """One read, in the scope of the agent that sends it.

    Attributes:
        part: Of storage: a name in `parts.PARTS`.
        method: Of its reads.
        args: By name.
    """

    part: str
    method: str
    args: dict[str, Any]


async def why_nobody_answers(bus: Bus) -> str:
    """What may be the reason, by who is present."""
    ask = "is one running (`argentbus agents`)?"
    try:
        snapshot = await bus.registry.snapshot()
    except BusError:  # this user may not look, or Redis is away
        return ask
    sidecars = [agent.agent for agent in snapshot.agents.values() if agent.role == "sidecar"]
    if not sidecars:
        return "none is present: start one (`argentbus up`, or `argentbus sidecar`)"
    states = (snapshot.states.get(name) for name in sidecars)
    signed = any(state and state.fields.get(SIGNATURES) == REQUIRED for state in states)
    here = f"{', '.join(sorted(sidecars)[:3])} is present"
    if not signed:
        return f"{here}; see its log"
    fault = "this bus does not sign" if bus.signing is None else "does this bus sign with its own?"
    return (
        f"{here} and refuses what is not signed with the secret that it knows, and {fault}: "
        "Bus.connect(..., signing=Signing.read(FILE)), or ARGENTBUS_SIGNING_KEY_FILE"
    )
