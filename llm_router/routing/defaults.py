"""What routes before anybody has configured anything. Users edit all of it."""

from llm_router.routing.config import Category, RoutingConfig

ALIASES = {
    "aurora-alpha": "openrouter/aurora-alpha",
    "kimi-k2.5": "moonshotai/kimi-k2.5",
    "glm-5": "z-ai/glm-5",
    "gpt-4o-mini": "openai/gpt-4o-mini",
}

# No keywords here: what tells the built-in categories apart comes with the classifiers, and the
# keywords of a configuration are those that its users add.
CATEGORIES = (
    Category(
        "tools",
        ("aurora-alpha", "kimi-k2.5", "glm-5"),
        description="Requests that carry tools to call.",
    ),
    Category(
        "code",
        ("glm-5", "aurora-alpha", "gpt-4o-mini"),
        description="Writing, reading, fixing or discussing code, queries, scripts and commands.",
    ),
    Category(
        "reasoning",
        ("aurora-alpha", "glm-5", "kimi-k2.5"),
        description="Why and how questions, explanations, mathematics, analysis, planning.",
    ),
    Category(
        "conversation",
        ("glm-5", "gpt-4o-mini", "aurora-alpha"),
        description="Greetings, small talk, short messages, and whatever fits nothing else.",
    ),
)


def default_config() -> RoutingConfig:
    return RoutingConfig(
        version=0, categories={c.name: c for c in CATEGORIES}, aliases=dict(ALIASES)
    )
