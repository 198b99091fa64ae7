"""`python -m edgemill` is `./mill`."""

from edgemill.cli import main

main()
