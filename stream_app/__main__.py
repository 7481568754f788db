"""`python -m stream_app` is the command `stream-app`."""

from stream_app.cli import main

main()
