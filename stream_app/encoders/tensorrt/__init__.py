"""The encoder on an NVIDIA GPU by TensorRT, or TensorRT-RTX with the same code.

`library` opens either module, `build` makes a plan from ONNX, `cache` keeps plans, `cuda` is the
driver, `engine` runs a plan, `refit` gives it other weights, and `load` puts them together. Nothing
here is imported before `stream_app.encoders.probe` has found a driver, except to build without one.
"""
