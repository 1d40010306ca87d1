# syntax=docker/dockerfile:1.7
# The image of every process, `mulan serve`, `mulan api` and `mulan worker`.
#   docker build --target cpu  --tag mulan-serve:cpu .
#   docker build --target cuda --tag mulan-serve:cuda .
# The layer of dependencies changes with pyproject.toml and the lock, that of the code with the code.

FROM python:3.11.13-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PATH=/opt/venv/bin:$PATH

FROM base AS builder
# Where the default index cannot be reached, pip and uv take another that these name, UV_FIND_LINKS
# is a page of wheels beside it, and UV_SYSTEM_CERTS=true trusts the authorities that the base does.
ARG PIP_INDEX_URL
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/venv
RUN pip install --no-cache-dir uv==0.13.9 && uv venv /opt/venv
WORKDIR /src

FROM builder AS wheel
ARG UV_DEFAULT_INDEX UV_FIND_LINKS UV_SYSTEM_CERTS
COPY pyproject.toml README.md LICENSE ./
COPY deploy/constraints.txt deploy/
COPY models models
COPY service service
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --wheel --build-constraints deploy/constraints.txt --out-dir /wheel

FROM builder AS cpu-dependencies
ARG UV_DEFAULT_INDEX UV_FIND_LINKS UV_SYSTEM_CERTS
# Empty, it takes torch from the same places as all packages, and not from PyTorch's index.
ARG CPU_TORCH="--torch-backend cpu"
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=pyproject.toml,target=/src/pyproject.toml \
    --mount=type=bind,source=deploy/constraints.txt,target=/src/constraints.txt \
    uv pip install --requirement pyproject.toml --extra tracing --constraint constraints.txt \
        ${CPU_TORCH} \
    && rm -r /opt/venv/lib/python3.11/site-packages/torch/include \
             /opt/venv/lib/python3.11/site-packages/torch/test

# The default wheel of torch brings CUDA's libraries; the driver comes with the container runtime.
# onnxruntime-gpu replaces onnxruntime, because the two wheels write the same files.
FROM builder AS cuda-dependencies
ARG UV_DEFAULT_INDEX UV_FIND_LINKS UV_SYSTEM_CERTS
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=pyproject.toml,target=/src/pyproject.toml \
    --mount=type=bind,source=deploy/constraints.txt,target=/src/constraints.txt \
    uv pip install --requirement pyproject.toml --extra tracing --constraint constraints.txt \
    && uv pip uninstall onnxruntime \
    && uv pip install --constraint constraints.txt onnxruntime-gpu \
    && rm -r /opt/venv/lib/python3.11/site-packages/torch/include \
             /opt/venv/lib/python3.11/site-packages/torch/test

FROM base AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin mulan
ENV MULAN_HOST=0.0.0.0 \
    MULAN_PORT=8000
EXPOSE 8000
WORKDIR /tmp
# A worker answers on a port of its own. It is unhealthy after a start of five minutes, as in
# deploy/k8s: on a busy machine it measures its runtimes for one or two.
HEALTHCHECK --interval=5s --timeout=3s --start-period=300s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; e = os.environ; u.urlopen(f'http://127.0.0.1:{e.get(\"MULAN_METRICS_PORT\", e[\"MULAN_PORT\"])}/readyz', timeout=2)"]
ENTRYPOINT ["mulan"]
CMD ["serve"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=cuda-dependencies /opt/venv /opt/venv
RUN --mount=type=bind,from=builder,source=/usr/local/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    uv pip install --no-cache --no-deps --compile-bytecode --python /opt/venv /wheel/*.whl
USER 10001:10001

FROM runtime AS cpu
COPY --from=cpu-dependencies /opt/venv /opt/venv
RUN --mount=type=bind,from=builder,source=/usr/local/bin/uv,target=/usr/local/bin/uv \
    --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    uv pip install --no-cache --no-deps --compile-bytecode --python /opt/venv /wheel/*.whl
USER 10001:10001
