"""`python -m paper_lib`."""

from paper_lib.cli import main

main(prog_name="python -m paper_lib")
