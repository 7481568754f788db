# The images of stream-app, by target:
#   worker   (default) workers and every command; CPU
#   demo     the same with the data and the model release of the demo
#   gpu      the same as worker with TensorRT-RTX; the driver comes from the host
#   trainer  the same as worker with torch: large
# Versions and hashes of all Python packages come from requirements.lock. docs/deploying.md has more.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
# Debian's stable release moves only for security, and nothing of it is in the final images.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The processor that runs the image may be another one than the one that builds it.
ENV HNSWLIB_NO_NATIVE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/stream-app
COPY pyproject.toml requirements.lock ./
# uv itself, with the hash that the lock has for it.
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.lock > uv.txt \
    && python -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r uv.txt \
    && /opt/uv/bin/uv venv /opt/stream-app
ENV INSTALL="/opt/uv/bin/uv pip install --no-cache --compile-bytecode --constraint requirements.lock"
RUN $INSTALL -r pyproject.toml --extra rocksdb --extra signing --extra text --extra traces
COPY README.md LICENSE ./
COPY schemas schemas
COPY stream_app stream_app
COPY agents agents
RUN $INSTALL --no-deps .

FROM build AS build-gpu
RUN $INSTALL -r pyproject.toml --extra rocksdb --extra signing --extra text --extra traces --extra tensorrt-rtx

FROM build AS build-trainer
RUN $INSTALL -r pyproject.toml --extra rocksdb --extra signing --extra text --extra traces --extra train

# What all images share: no compiler, no shell script, a user without rights. The root file system
# may be read-only; /tmp must be writable.
FROM python:${PYTHON} AS runtime
ENV PATH=/opt/stream-app/bin:$PATH \
    HOME=/tmp \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STREAM_APP_LOG_FORMAT=json \
    STREAM_APP_METRICS_HOST=0.0.0.0
WORKDIR /tmp
USER 10001:10001
EXPOSE 9464
STOPSIGNAL SIGTERM
# A worker recovers its state before it is ready: what hangs is ended by its own watchdog.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["stream-app", "health", "live"]
ENTRYPOINT ["stream-app"]
CMD ["worker"]

FROM runtime AS gpu
COPY --from=build-gpu /opt/stream-app /opt/stream-app
# What the NVIDIA container runtime brings in from the host: the driver, and nothing else.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM runtime AS trainer
COPY --from=build-trainer /opt/stream-app /opt/stream-app
HEALTHCHECK NONE
CMD ["train", "--help"]

FROM runtime AS demo
COPY --from=build /opt/stream-app /opt/stream-app
COPY examples/movielens/README.md /opt/movielens/
COPY examples/movielens/ml-latest-small /opt/movielens/ml-latest-small
COPY examples/movielens/bundle /opt/movielens/bundle

FROM runtime AS worker
COPY --from=build /opt/stream-app /opt/stream-app
