"""`python -m llm_router.workers ROLE FD`: a process of the supervisor's, and nobody else's."""

import sys

from llm_router.imports import lean

with lean():
    from llm_router.workers.child import main

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[2])))  # the role is for whoever lists processes
