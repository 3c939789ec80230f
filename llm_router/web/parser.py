"""Which of aiohttp's two parsers reads requests: the strict one, or the router does not begin."""

from aiohttp import http_parser

NO_STRICT_PARSER = (
    "aiohttp runs without its C parser, which is the strict one; unset AIOHTTP_NO_EXTENSIONS, or "
    "install aiohttp from a wheel"
)


def has_strict_parser() -> bool:
    """Return whether requests are read by llhttp, which refuses what can be read in two ways."""
    return http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy
