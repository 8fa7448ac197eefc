"""``python -m ctct``: the command line, for where the ``ctct`` script is not on the path."""

from ctct.cli.main import run

if __name__ == "__main__":
    run()
