"""The loopback Discord itself: which result stands for which deleted status message."""

from __future__ import annotations

from tests.contract.discord.wire import Message, Wire


def test_a_status_message_that_never_showed_its_job_takes_no_other_job_s_result() -> None:
    wire = Wire()
    wire.originals = {"first": 1, "second": 2, "third": 3}
    status = [Message(1, 9), Message(2, 9, jobs={"b"}, deleted=True), Message(3, 9, jobs={"c"})]
    results = [Message(4, 9, nonce="b-end", jobs={"b"}), Message(5, 9, nonce="a-end", jobs={"a"})]
    wire.messages = {each.id: each for each in (*status, *results)}
    status[0].deleted = True
    assert wire.response("first") is results[1]
    assert wire.response("second") is results[0]
    assert wire.response("third") is status[2], "its message is still there"
