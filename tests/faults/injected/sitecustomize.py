"""Python imports this before the program of a worker under test: puts the faults into it."""

import os
import sys
import traceback

try:
    from tests.faults.inject import install

    install()
except BaseException:  # Python would report it and go on without faults
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(99)
