"""Envelopes: what goes in comes out, and nothing else does."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import UndecodableMessage
from bus.messages.codec import decode_body
from bus.messages.envelope import unwrap, wrap


class Note(msgspec.Struct):
    text: str


@given(st.recursive(st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(), st.lists))
def test_plain_data_survives(body: object) -> None:
    message_id, raw = wrap(body, sender="scout")
    envelope = unwrap(raw)
    assert envelope.id == message_id
    assert envelope.sender == "scout"
    assert decode_body(envelope, object) == body


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_decode_or_be_refused(raw: bytes) -> None:
    try:
        unwrap(raw)
    except UndecodableMessage as error:
        assert "envelope" in str(error)


@given(st.data())
def test_a_garbled_envelope_is_refused_or_still_one(data: st.DataObject) -> None:
    _, raw = wrap(Note("hello"), sender="scout")
    garbled = bytearray(raw)
    place = data.draw(st.integers(0, len(garbled) - 1))
    garbled[place] = data.draw(st.integers(0, 255))
    try:
        decode_body(unwrap(bytes(garbled)), Note)
    except UndecodableMessage as error:
        assert str(error)


def test_a_body_of_another_type_names_both() -> None:
    _, raw = wrap({"other": 1}, sender="scout", type="Plan")
    with pytest.raises(UndecodableMessage, match=r"Plan.*scout.*Note"):
        decode_body(unwrap(raw), Note)


def test_a_body_that_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(UndecodableMessage, match=r"msgspec\.Struct"):
        wrap(object(), sender="scout")


def test_deep_nesting_does_not_end_the_process() -> None:
    _, raw = wrap(Note("x"), sender="scout")
    body = b"\x91" * 100_000 + b"\x01"
    with pytest.raises(UndecodableMessage):
        decode_body(unwrap(raw.replace(b"\x81\xa4text\xa1x", body)), Note)


def test_an_unknown_version_is_named() -> None:
    raw = msgspec.msgpack.encode(["id", "Note", "scout", 1.0, {"text": "x"}, None, None, None, 9])
    with pytest.raises(UndecodableMessage, match="version 9"):
        unwrap(raw)
