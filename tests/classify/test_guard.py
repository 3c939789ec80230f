from llm_router.classify.guard import FAILURES, REST_S, Guard
from tests.classify.helpers import FakeClock


def resting(clock: FakeClock) -> Guard:
    guard = Guard(clock)
    for _ in range(FAILURES):
        assert guard.admits()
        guard.failed()
    assert guard.is_resting
    return guard


def test_three_failures_in_a_row_rest_the_step() -> None:
    assert not resting(FakeClock()).admits()


def test_a_success_between_starts_the_count_again() -> None:
    guard = Guard(FakeClock())
    for _ in range(FAILURES - 1):
        guard.failed()
    guard.succeeded()
    guard.failed()
    assert guard.admits()
    assert not guard.is_resting


def test_after_the_rest_one_request_tries() -> None:
    clock = FakeClock()
    guard = resting(clock)
    clock.now += REST_S
    assert guard.admits()
    assert not guard.admits()


def test_a_good_try_ends_the_rest() -> None:
    clock = FakeClock()
    guard = resting(clock)
    clock.now += REST_S
    assert guard.admits()
    guard.succeeded()
    assert guard.admits()
    assert not guard.is_resting


def test_a_bad_try_rests_it_again() -> None:
    clock = FakeClock()
    guard = resting(clock)
    clock.now += REST_S
    assert guard.admits()
    guard.failed()
    clock.now += REST_S - 1
    assert not guard.admits()


def test_a_try_that_says_nothing_lets_the_next_one_try() -> None:
    clock = FakeClock()
    guard = resting(clock)
    clock.now += REST_S
    assert guard.admits()
    guard.released()
    assert guard.admits()
