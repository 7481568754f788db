"""Says in one line what a machine lacks to build the environment; runs on any Python 3."""
# ruff: noqa: UP031, UP036
# An old Python must be able to read this file.

import os
import shutil
import sys


def main():
    if sys.version_info < (3, 11):
        return (
            "Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.11 ..."
            % (sys.version_info[:2])
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "Python's venv module is missing: install the package python3-venv"
    compiler = os.environ.get("CXX", "c++").split()[0]
    if not any(shutil.which(name) for name in (compiler, "c++", "g++", "clang++")):
        return "a C++ compiler is needed for hnswlib: install g++ or clang, or set CXX"
    return None


if __name__ == "__main__":
    missing = main()
    if missing:
        sys.stderr.write("stream-app: error: %s\n" % missing)
        sys.exit(1)
