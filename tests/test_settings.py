from llm_router.settings import ServerSettings, Settings


def test_what_is_at_hand_reads_like_the_settings() -> None:
    settings = Settings(server=ServerSettings(max_in_flight=7))
    at_hand = settings.at_hand()
    for name, section in settings:
        assert dict(section) == vars(getattr(at_hand, name))
    assert at_hand.server.max_in_flight == 7
