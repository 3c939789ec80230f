# ruff: noqa: RUF001 - Chinese examples have Chinese punctuation
import pytest

from llm_router.classify.base import Prompt
from llm_router.classify.keywords import Keywords
from llm_router.classify.labels import labels_of
from llm_router.classify.own import fallback_of
from llm_router.routing.config import Category, RoutingConfig
from tests.classify.helpers import config, judge, own

EXAMPLES = [
    ("Write a python function that merges two sorted lists", "code"),
    ("Schreibe ein Skript, das alle Dateien eines Ordners umbenennt", "code"),
    ("Écris une fonction qui trie un tableau", "code"),
    ("Escribe un programa que lea un archivo y cuente las palabras", "code"),
    ("写一个函数，把字符串反转，用代码实现", "code"),
    ("this throws NullPointerException:\n```java\nfoo.bar();\n```", "code"),
    ("git rebase keeps asking me for the same merge conflict", "code"),
    ("Why is the sky blue?", "reasoning"),
    ("Explain the difference between a virus and a bacterium", "reasoning"),
    ("Erkläre mir, warum es Ebbe und Flut gibt", "reasoning"),
    ("Pourquoi les feuilles tombent-elles en automne ?", "reasoning"),
    ("¿Por qué el mar es salado?", "reasoning"),
    ("为什么天空是蓝色的？请解释原因", "reasoning"),
    ("A shirt costs 20 dollars after a discount of 20%. What was the price before?", "reasoning"),
    ("What is 17 * 23?", "reasoning"),
    ("Объясни, почему трава зелёная", "reasoning"),
    ("Programmiere mir einen Taschenrechner, der auch Brüche kürzen kann", "code"),
    ("Hi there!", "conversation"),
    ("thanks, that was lovely", "conversation"),
    ("Guten Morgen, wie geht es dir?", "conversation"),
    ("Bonjour, ça va ?", "conversation"),
    ("Hola, ¿cómo estás?", "conversation"),
    ("你好，你是谁？", "conversation"),
    ("Write a short poem about my cat and the moon", "conversation"),
    ("Who is the president of France?", "conversation"),
    ("I love that band, do you like their new album?", "conversation"),
]


@pytest.mark.parametrize(("text", "category"), EXAMPLES, ids=[text[:40] for text, _ in EXAMPLES])
def test_an_example_gets_its_category(text: str, category: str) -> None:
    assert judge(text).category == category


def test_the_decision_says_which_words_made_it() -> None:
    decision = judge("Write a python function that adds two numbers")
    assert decision.by == "keywords"
    assert "'python'" in decision.rule
    assert decision.confidence is not None
    assert decision.confidence > 0.9
    assert {name for name, _ in decision.runners_up} == {"reasoning", "conversation"}


def test_form_alone_can_decide() -> None:
    decision = judge("for (i = 0; i < n; i++) {\n  total[i] += x.y(i);\n}\n")
    assert decision.category == "code"
    assert "form: lines of code" in decision.rule


def test_what_matches_nothing_is_conversation_by_default() -> None:
    decision = judge("lorem ipsum amet aliqua consectetur adipiscing elit nostrud eiusmod")
    assert (decision.category, decision.by) == ("conversation", "default")


def test_a_few_words_are_conversation_by_rule() -> None:
    decision = judge("lorem ipsum dolor")
    assert (decision.category, decision.by) == ("conversation", "keywords")
    assert "a few words" in decision.rule


@pytest.mark.parametrize("text", ["", "  \n\t", "\0"], ids=["empty", "blank", "nul"])
def test_no_text_is_conversation(text: str) -> None:
    assert judge(text).category == "conversation"


def test_a_clients_own_chore_is_conversation_by_rule() -> None:
    prompt = Prompt("### Task:\nwrite python code", chore="a chat client's own task")
    decision = Keywords().judge(prompt, config())
    assert (decision.category, decision.by) == ("conversation", "keywords")
    assert decision.rule == "a chat client's own task"


@pytest.mark.parametrize("follow_up", ["and in the other language?", "continue", "go on please"])
def test_a_short_follow_up_leans_on_the_turn_before(follow_up: str) -> None:
    assert judge(follow_up).category != "code"
    context = "Write a python script with a function that parses a csv file"
    assert judge(follow_up, context=context).category == "code"


def test_a_long_message_does_not_lean_on_the_turn_before() -> None:
    text = "Hello! I love the new album of that band and I think my friends and family do too."
    assert judge(text, context="python sql function algorithm").category == "conversation"


# Categories of the user's own


def test_a_keyword_of_an_own_category_outweighs_the_built_in_ones() -> None:
    where = config(own("billing", "invoice", "payment terms"))
    decision = judge("Write a python function that prints an INVOICE", where)
    assert (decision.category, decision.rule) == ("billing", "keywords: 'invoice'")


@pytest.mark.parametrize(
    ("keyword", "text", "matches"),
    [
        ("class", "which class is this", True),
        ("class", "two classes of people", True),
        ("class", "a classic film", False),
        ("class", "subclass of things", False),
        ("recipe", "some recipes please", True),
        ("recipe", "the recipient of mail", False),
        ("recipes", "a recipe for soup", True),
        ("categories", "its category", True),
        ("boxes", "in a box", True),
        ("boss", "bos taurus", False),
        ("windows", "clean the window", False),
        ("query", "three queries later", True),
        ("bake", "I was baking bread", True),
        ("Rezept", "zwei Rezepte bitte", True),
        ("payment terms", "our payment  terms are", True),
        ("payment terms", "payment in terms of", False),
        ("c++", "I love C++ so much", True),
        ("c++", "vitamin c is good", False),
        ("发票", "请给我开发票谢谢", True),
        ("🍕", "tonight 🍕 again", True),
        ("café", "un cafe\u0301 noir", True),
        ("cafe\u0301", "un café noir", True),
        ("  ", "anything at all", False),
    ],
)
def test_keywords_match_whole_words_and_simple_forms(
    keyword: str, text: str, matches: bool
) -> None:
    assert (judge(text, config(own("mine", keyword))).category == "mine") is matches


def test_the_vocabulary_is_found_with_accents_written_apart() -> None:
    apart = judge("E\u0301cris un programme re\u0301cursif")
    assert apart == judge("\u00c9cris un programme r\u00e9cursif")
    assert apart.category == "code"


def test_a_turn_before_is_read_with_accents_written_apart() -> None:
    one, other = (
        Keywords().judge(Prompt("plus court", context=before), config())
        for before in (
            "\u00c9cris un programme r\u00e9cursif",
            "E\u0301cris un programme re\u0301cursif",
        )
    )
    assert one == other


def test_of_two_own_categories_the_one_with_more_hits_wins() -> None:
    where = config(own("a", "tea"), own("b", "milk", "sugar"))
    decision = judge("tea with milk and sugar", where)
    assert decision.category == "b"
    assert [name for name, _ in decision.runners_up] == ["a"]


def test_keywords_given_to_a_built_in_category_add_to_it() -> None:
    text = "the frobnicator of the quux went away for good yesterday evening again"
    assert judge(text).category != "code"
    where = config(Category("code", ("a/b",), ("frobnicator", "quux")))
    assert judge(text, where).category == "code"


def test_keywords_of_tools_are_not_looked_for_in_texts() -> None:
    where = config(Category("tools", ("a/b",), ("frobnicator",)))
    assert judge("the frobnicator", where).category != "tools"


def test_a_category_that_was_removed_is_never_answered() -> None:
    for gone in ("code", "reasoning", "conversation"):
        where = config(without=gone)
        assert all(judge(text, where).category in labels_of(where) for text, _ in EXAMPLES)


def test_without_any_built_in_category_an_existing_one_is_answered() -> None:
    where = RoutingConfig(1, {"mine": own("mine", "tea")})
    assert judge("Write a python function", where).category == "mine"
    assert judge("", where).category == "mine"


def test_the_fallback_exists_wherever_anything_does() -> None:
    assert fallback_of(RoutingConfig(1, {"tools": Category("tools", ("a/b",))})) == "tools"
    assert fallback_of(RoutingConfig(0)) == "conversation"


def test_a_new_configuration_is_compiled_when_it_comes() -> None:
    keywords = Keywords()
    prompt = Prompt("tea for two tonight")
    assert keywords.judge(prompt, config(own("mine", "tea"))).category == "mine"
    assert keywords.judge(prompt, config(version=2)).category != "mine"


def test_it_knows_whether_some_category_cannot_be_seen() -> None:
    keywords = Keywords()
    seen, unseen = config(own("a", "tea")), config(own("b", description="legal questions"))
    keywords.judge(Prompt("x"), seen)
    assert keywords.sees_all(seen)
    keywords.judge(Prompt("x"), unseen)
    assert not keywords.sees_all(unseen)
