"""Puts this directory on the import path, so that tests share helpers such as `onnx_step`.

It imports the package before any test can import ONNX Runtime, which the package keeps quiet.
"""

import stream_app  # noqa: F401
