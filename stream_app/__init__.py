"""The engine: events of users in, ranked lists out."""

import os

# ONNX Runtime from 1.29 on sends names and hashes of models, and its errors, to its maker, unless
# this is set before it is first imported. Whoever wants that can set another value.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
