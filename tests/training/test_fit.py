import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_line

from llm_router.classify.weights import Weights
from training.__main__ import main, written
from training.examples import OWN, OWN_SOURCE, Example, known_pairs, known_words, own, read
from training.fit import HARD, fit, weights_of
from training.measure import Judged, judged, report, temperature
from training.minimize import minimize

TEXTS = {
    "code": ["Fix the null pointer in {}", "Sort the array of {} in python", "{} does not compile"],
    "reasoning": ["Why do {} exist?", "Compare {} with dreams", "Explain {} step by step"],
    "conversation": ["hello, I love {}", "tell me a story about {}", "who invented {}"],
}


def prompts(path: Path, source: str, *nouns: str) -> Path:
    lines = [
        {"text": text.format(noun), "label": label, "lang": "en", "source": source}
        for label, texts in TEXTS.items()
        for text in texts
        for noun in nouns
    ]
    lines.append({"text": "call a tool", "label": "tools", "source": source})
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return path


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    return read([prompts(tmp_path / "a", "a", "cats", "rivers", "songs", "stones")])


def test_labels_that_are_not_learned_are_left_out(examples: list[Example]) -> None:
    assert len(examples) == 36


def test_the_same_examples_give_the_same_weights(examples: list[Example]) -> None:
    assert written(fit(examples)) == written(fit(examples))


def test_a_word_is_the_same_however_its_accents_are_written(tmp_path: Path) -> None:
    """As it is for who judges."""
    text = "Écris une requête qui résume les données d'été"

    def read_as(text: str) -> Example:
        path = tmp_path / "prompts.jsonl"
        path.write_text(json.dumps({"text": text, "label": "code", "lang": "fr"}))
        return read([path])[0]

    composed = read_as(unicodedata.normalize("NFC", text))
    decomposed = read_as(unicodedata.normalize("NFD", text))
    assert composed.words == decomposed.words
    assert composed.features == decomposed.features


def test_the_weights_fit_what_they_were_learned_from(examples: list[Example]) -> None:
    found = list(judged(Weights(fit(examples)), examples))
    assert sum(j.is_right for j in found) / len(found) > 0.9
    assert 0.5 <= temperature(found) <= 4


def test_only_words_of_several_kinds_of_prompts_get_a_weight(tmp_path: Path) -> None:
    one = read([prompts(tmp_path / "a", "a", "cats", "rivers", "songs")])
    assert known_words(one) == []
    two = read([prompts(tmp_path / "b", "b", "cats", "kites", "songs")])
    assert {"cats", "null", "compile"} <= set(known_words([*one, *two]))
    assert "kites" not in known_words([*one, *two])
    assert {"compi", "^why", "^tell me a"} <= set(known_words([*one, *two]))


def test_features_are_learned_by_twos_where_they_are_often_seen_together(tmp_path: Path) -> None:
    nouns = [f"things{number}" for number in range(10)]
    assert known_pairs(read([prompts(tmp_path / "one", "a", "cats")])) == []
    known = known_pairs(read([prompts(tmp_path / name, name, *nouns) for name in "ab"]))
    assert "asks + why" in known
    assert "a question + asks" in known


def test_confidence_is_as_low_as_what_was_judged_worst_asks_for(examples: list[Example]) -> None:
    own = [replace(e, line=replace_line(e.line, source=OWN_SOURCE)) for e in examples]

    def sure(those: list[Example], *, right: bool) -> list[Judged]:
        wrong = [Judged(e, tuple(4.0 * (k != e.label) for k in range(3))) for e in those[:9]]
        return [
            *(Judged(e, tuple(4.0 * (k == e.label) for k in range(3))) for e in those),
            *([] if right else wrong),
        ]

    foreign = temperature([*sure(examples, right=False), *sure(own, right=True)])
    assert foreign == temperature(sure(examples, right=False))
    assert foreign == temperature([*sure(examples, right=True), *sure(own, right=False)])
    assert foreign > temperature(sure(examples, right=True))


def test_the_report_has_languages_sources_and_bands(examples: list[Example]) -> None:
    lines = list(report(list(judged(Weights(fit(examples)), examples)), 1.0))
    assert any(line.startswith("all ") for line in lines)
    assert any(line.startswith("en ") for line in lines)
    assert any(line.startswith("0.9 to 1.0") for line in lines)


def test_the_command_leaves_each_source_out_and_writes_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own").mkdir()
    prompts(tmp_path / "own" / "sky.jsonl", "written for this project", "clouds")
    monkeypatch.setattr("training.examples.OWN", tmp_path / "own")
    files = [str(prompts(tmp_path / name, name, "cats", "rivers")) for name in "ab"]
    out = tmp_path / "weights.json"
    assert main([*files, f"--out={out}"]) == 0
    learned = json.loads(out.read_bytes())
    assert set(learned["sources"]) == {"a", "b", "written for this project"}
    shown = capsys.readouterr().out
    assert "accuracy" in shown
    assert "own: sky" in shown


def test_weights_that_are_near_lead_to_the_same_place(examples: list[Example]) -> None:
    cold = fit(examples)
    near = fit(examples, cold)
    pairs = [
        (weight, near.features.get(name, (0, 0, 0))[k])
        for name, weights in cold.features.items()
        for k, weight in enumerate(weights)
    ]
    assert all(abs(one - other) <= 1 for one, other in pairs)


def test_our_own_hard_prompts_count_twice(examples: list[Example]) -> None:
    def own_in(file: str) -> list[Example]:
        return [
            replace(e, line=replace_line(e.line, source=OWN_SOURCE, file=file)) for e in examples
        ]

    assert {OWN / f"{name}.jsonl" for name in HARD} <= set(OWN.glob("*.jsonl"))
    counts = weights_of([*own_in("basics"), *own_in("tasks")])
    basics, tasks = counts[: len(examples)], counts[len(examples) :]
    assert tasks == pytest.approx([2 * count for count in basics])


def test_our_own_prompts_have_labels_languages_and_no_doubles() -> None:
    prompts = own()
    assert len(prompts) >= 12_000
    assert len({(e.line.lang, e.line.text) for e in prompts}) == len(prompts)
    assert {e.line.lang for e in prompts} == {"en", "fr", "de", "es", "zh", "ru"}
    assert len({e.line.file for e in prompts}) >= 8


def test_the_minimum_of_a_bowl_is_found() -> None:
    def bowl(at: list[float]) -> tuple[float, list[float]]:
        x, y = at
        return (x - 3) ** 2 + 10 * (y + 1) ** 2, [2 * (x - 3), 20 * (y + 1)]

    assert minimize(bowl, [0.0, 0.0]) == pytest.approx([3.0, -1.0], abs=0.01)
