import pytest

from llm_router.classify.evidence import Evidence


def evidence(**start: float) -> Evidence:
    return Evidence(start or {"code": 0.0, "reasoning": 0.0})


def add(to: Evidence, category: str, weight: float, words: list[str]) -> None:
    to.add({0: words}, [(category, weight)])


def confidence_with(*words: str) -> float:
    collected = evidence()
    add(collected, "code", 1.0, list(words))
    return collected.decision("reasoning").confidence or 0


def test_more_words_of_a_group_count_less_each_until_the_third() -> None:
    one, two, three = (confidence_with(*"abc"[:n]) for n in (1, 2, 3))
    assert one < two < three
    assert two - one > three - two
    assert confidence_with(*"abcd") == three


def test_the_same_word_counts_once() -> None:
    assert confidence_with("a", "a", "a") == confidence_with("a")


def test_what_speaks_for_a_category_that_is_gone_is_left_out() -> None:
    collected = evidence(code=0.0)
    add(collected, "reasoning", 5.0, ["why"])
    collected.add_form("Why?", ["why"])
    assert collected.decision("code").by == "default"


def test_the_sums_become_shares_that_are_ranked() -> None:
    collected = evidence(code=0.0, reasoning=0.0, conversation=0.3)
    add(collected, "reasoning", 1.0, ["why"])
    decision = collected.decision("conversation")
    assert decision.category == "reasoning"
    assert [name for name, _ in decision.runners_up] == ["conversation", "code"]
    shares = [decision.confidence or 0, *(share for _, share in decision.runners_up)]
    assert sum(shares) == pytest.approx(1, abs=0.002)


def test_the_rule_shows_four_reasons_words_in_quotes() -> None:
    collected = evidence()
    add(collected, "code", 1.0, ["git", "git", "sql"])
    collected.add_form("a_b()", ["a_b"])
    add(collected, "code", 1.0, ["css"])
    rule = collected.decision("code").rule
    assert rule == "keywords: 'git', 'sql', form: calls in code, form: names in code"


def test_a_head_start_may_win_against_a_weak_sign() -> None:
    collected = evidence(code=3.0, reasoning=0.0)
    add(collected, "reasoning", 1.0, ["why"])
    decision = collected.decision("reasoning")
    assert (decision.category, decision.rule) == ("code", "nothing speaks for another")
