"""Puts this directory on the import path, so that tests share helpers such as `onnx_step`."""
