"""``python -m ssl_pcb`` is the command line."""

from ssl_pcb.cli import main

main()
