"""`python -m libs.cli` is `specstream`."""

import sys

INTERRUPTED = 130

if __name__ == "__main__":
    try:
        from libs.cli.main import main

        main()
    except KeyboardInterrupt:  # before a command could begin: loading takes a moment
        sys.exit(INTERRUPTED)
