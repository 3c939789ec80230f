"""Deadlines of one connection, on a clock that is moved by hand."""

import asyncio

import pytest

from llm_router.settings import DeadlineSettings
from llm_router.web.pace import Pace

DEADLINES = DeadlineSettings(header_s=10, write_s=30, connection_idle_s=75)


class Transport(asyncio.Transport):
    """Has sent nothing of `unsent` bytes."""

    def __init__(self, unsent: int) -> None:
        super().__init__()
        self.unsent = unsent

    def get_write_buffer_size(self) -> int:
        return self.unsent


@pytest.fixture
def pace() -> Pace:
    return Pace(DEADLINES)


def is_late(pace: Pace, now: float) -> bool:
    return pace.is_exceeded(None, now)


def test_a_connection_without_a_request_has_no_deadline_of_its_own(pace: Pace) -> None:
    assert not is_late(pace, 1e9)


def test_headers_are_due_from_their_first_byte_on(pace: Pace) -> None:
    """F53, T19"""
    pace.received(100)
    pace.received(109)
    assert not is_late(pace, 110)
    assert is_late(pace, 110.1)


def test_an_answer_may_take_its_time_whatever_the_client_sends_meanwhile(pace: Pace) -> None:
    pace.received(100)
    pace.begins()
    pace.received(105)
    assert not is_late(pace, 1e9)


def test_the_next_headers_are_due_as_well(pace: Pace) -> None:
    """F53"""
    pace.received(100)
    pace.begins()
    pace.ends()
    assert not is_late(pace, 200)
    pace.received(200)
    assert is_late(pace, 210.1)


def test_a_connection_that_rests_too_long_is_late(pace: Pace) -> None:
    """F53"""
    pace.rests(100)
    assert not is_late(pace, 175)
    assert is_late(pace, 175.1)


def test_headers_that_begin_end_the_rest(pace: Pace) -> None:
    pace.rests(100)
    pace.received(170)
    assert not is_late(pace, 180)
    assert is_late(pace, 180.1)
    pace.begins()
    pace.rests(200)
    assert not is_late(pace, 275)
    assert is_late(pace, 275.1)


def test_a_connection_that_is_over_lingers_for_a_moment(pace: Pace) -> None:
    pace.begins()
    pace.lingers(100)
    pace.received(109)
    assert not is_late(pace, 110)
    assert is_late(pace, 110.1)


def test_something_of_an_answer_must_move(pace: Pace) -> None:
    """F51, F52"""
    transport = Transport(1000)
    assert not pace.is_exceeded(transport, 100)
    transport.unsent = 999
    assert not pace.is_exceeded(transport, 129)
    assert not pace.is_exceeded(transport, 159)
    assert pace.is_exceeded(transport, 159.1)


def test_an_answer_that_was_taken_in_time_leaves_no_deadline(pace: Pace) -> None:
    """F52"""
    transport = Transport(1000)
    assert not pace.is_exceeded(transport, 100)
    transport.unsent = 0
    assert not pace.is_exceeded(transport, 129)
    assert not pace.is_exceeded(transport, 1000)
    transport.unsent = 1000
    assert not pace.is_exceeded(transport, 2000)
    assert pace.is_exceeded(transport, 2030.1)
