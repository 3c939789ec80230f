"""`python -m llm_router`, the same as `llm-router`."""

import sys

from llm_router.cli import main

if __name__ == "__main__":
    sys.exit(main())
