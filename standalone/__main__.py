"""`python -m standalone` does the same as `nmtune-server`."""

import sys

from standalone.cli import main

if __name__ == "__main__":
    sys.exit(main())
