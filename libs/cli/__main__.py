"""`python -m libs.cli` is `specstream`."""

from libs.cli.main import main

if __name__ == "__main__":
    main()
