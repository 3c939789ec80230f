from llm_router.classify.vocabulary import tokens
from llm_router.classify.words import builtin_words, groups


def test_a_group_has_a_name_a_category_a_weight_and_its_words() -> None:
    by_name = {group.name: group for group in groups()}
    assert len(by_name) == len(groups())
    why = by_name["why"]
    assert (why.category, why.is_opening) == ("reasoning", True)
    assert {"why", "warum", "pourquoi", "por qué", "почему"} <= set(why.entries)
    assert all(group.entries and group.weight > 0 for group in groups())


def test_entries_are_written_the_way_texts_are_read() -> None:
    """An entry with other punctuation than spaces would never be found."""
    for group in groups():
        for entry in group.entries:
            written = entry.removesuffix("*").lower()
            assert "…" not in entry
            assert not written.isascii() or " ".join(tokens(entry)) == written, entry


def test_words_are_found_without_their_accents() -> None:
    lower = "ecris une fonction recursive"
    names = {groups()[n].name for n in builtin_words().hits(lower, tokens(lower))}
    assert "programar, programmieren, programmer" in names


def test_a_language_name_is_found_before_chinese() -> None:
    lower = "react怎么用"
    names = {groups()[n].name for n in builtin_words().hits(lower, tokens(lower))}
    assert "libraries and frameworks" in names
