"""Names that must not reach a key."""

import pytest

from bus import InvalidName
from bus.keys import Keys, check_name

HOSTILE = [
    "",
    " ",
    "two words",
    'say "hi"',
    "it's",
    "a{b}c",
    "line\nbreak",
    "tab\there",
    "nul\0",
    "x" * 300,
    "<script>alert(1)</script>",
    "star*",
    "que?tion",
    "[set]",
    "back\\slash",
    "naïve",
    "\u202eright-to-left",
    "-option",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidName, match="A-Z a-z 0-9") as caught:
        check_name("agent", name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", ["scout", "a", "heartbeat:scout", "team/x@y.z_1+2-3", "9" * 128])
def test_an_ordinary_name_is_accepted(name: str) -> None:
    assert check_name("agent", name) == name


@pytest.mark.parametrize("namespace", ["", "a b", "a:b", "a{b", "x" * 65])
def test_a_hostile_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidName, match="namespace"):
        Keys(namespace)


def test_keys_of_one_noun_share_a_hash_tag() -> None:
    keys = Keys("argent")
    assert keys.presence("scout").split("}")[0] == keys.presence_index.split("}")[0]
    assert keys.state("scout").split("}")[0] == keys.inbox("scout").split("}")[0]
