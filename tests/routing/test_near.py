from llm_router.routing.near import did_you_mean, near_names, or_near


def test_near_names_are_few_and_a_very_long_name_is_cut() -> None:
    assert len(near_names("model-1", [f"v/model-{n}" for n in range(50)], n=2)) == 2
    assert near_names("x" * 1_000_000, ["x" * 100]) == ("x" * 100,)


def test_of_equal_names_that_of_the_wanted_vendor_comes_first() -> None:
    known = ["a/glm-5", "z/glm-5", "glm-5"]
    assert near_names("z/glm-55", known) == ("z/glm-5", "a/glm-5", "glm-5")
    assert near_names("glm-55", known) == ("glm-5", "a/glm-5", "z/glm-5")


def test_what_is_near_is_offered_in_words() -> None:
    known = ["code", "cold", "tools"]
    assert did_you_mean(near_names("coed", known)) == " Did you mean cold, code?"
    assert or_near("coed", known) == "; did you mean cold or code?"


def test_what_is_too_far_is_not() -> None:
    assert did_you_mean(near_names("xyz", ["code"])) == ""
    assert or_near("coed", ["code"], least=0.85) == ""
