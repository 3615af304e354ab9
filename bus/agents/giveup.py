"""Which calls may be made on behalf of the dead: those that the dead could have made, and no other.

What a process holds is noted in Redis, in a hash that a confined user (`acl`) writes itself; and
whoever reaps may do more than that user. So a note is not run because it says so: its script has to
be one that gives something up, its keys those of one thing that this script is meant for, and what
it gives up has to be named by a token that begins with the mark of the user whose note it is.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from bus.keys import Keys
from bus.servers.script import Script


class GiveUp(msgspec.Struct, array_like=True, frozen=True):
    """A call that gives something up. Repeating it, and running it in vain, must be harmless.

    Its first argument is the token, or the consumer's name, of what is given up.
    """

    script: str
    keys: list[str]
    args: list[str | int]


#: Whether keys and arguments are such as whoever holds something gives it up with.
Form = Callable[[Keys, GiveUp], bool]


class _Allowed(NamedTuple):
    script: Script
    form: Form


_allowed: dict[str, _Allowed] = {}

#: How the names of instances and estates begin that are a confined user's: see `acl.mark_of`.
_MARK: Final = re.compile(r"[0-9a-f]{16}-")

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}"


def gives_up(script: Script, form: Form) -> Script:
    """Declare that `script` may be run on behalf of the dead, with calls of that form."""
    _allowed[script.name] = _Allowed(script, form)
    return script


def allowed(keys: Keys, estate: str, call: GiveUp) -> Script | None:
    """The script of `call`, or None where nobody could have noted that under `estate` honestly."""
    found = _allowed.get(call.script)
    if found is None or not call.args:
        return None
    token, mark = call.args[0], _MARK.match(estate)
    if not isinstance(token, str) or (mark is not None and not token.startswith(mark[0])):
        return None
    return found.script if found.form(keys, call) else None


def name_in(base: str, key: str) -> str | None:
    """The name in `key`, which is `base` with a name where that has a `*`; or None."""
    before, after = base.split("*")
    found = re.fullmatch(f"{re.escape(before)}({_NAME}){re.escape(after)}", key)
    return None if found is None else found[1]


def _is_lapse(keys: Keys, call: GiveUp) -> bool:
    if len(call.keys) != 1 or len(call.args) != 1:
        return False
    namespace = re.escape(keys.namespace)
    stream = rf"{namespace}:\{{(?:queue:{_NAME}\}}|{_NAME}\}}:inbox)"
    return re.fullmatch(f"{stream}:consumers:{_NAME}", call.keys[0]) is not None


#: Has a consumer count as dead.
LAPSE: Final = gives_up(Script("agents/lapse"), _is_lapse)
