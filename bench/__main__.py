"""``python -m bench``: the command line, for launchers that start modules."""

from bench.cli import main

if __name__ == "__main__":
    main()
