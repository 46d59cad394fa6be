# syntax=docker/dockerfile:1
#
# CPU:   docker build -t mitlgan .
# CUDA:  docker build -t mitlgan:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# Run:   docker run --rm -v "$PWD:/workspace" --user "$(id -u):$(id -g)" mitlgan demo
#        with --gpus all for CUDA; runs/ and the cache stay in the mounted folder.

ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
# torch's own indexes hold one build each (cpu, cu126, cu128, ...). CUDA builds bring their CUDA libraries, so one base image serves all.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/mitlgan
ENV PATH=/opt/mitlgan/bin:$PATH
# Before the sources: an edit of the code does not download torch again.
RUN pip install --index-url "${TORCH_INDEX}" "torch>=2.9" "torchvision>=0.24"
COPY . /source
RUN pip install /source

FROM python:${PYTHON_VERSION}-slim-bookworm AS train
LABEL org.opencontainers.image.title="mitlgan" \
      org.opencontainers.image.description="Compose generators, and compare honestly with a plain WGAN" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --create-home --uid 1000 mitlgan \
    && install --directory --owner=mitlgan --mode=0777 /workspace
COPY --from=build /opt/mitlgan /opt/mitlgan
# Caches lie in the mounted folder, which any --user can write; the home directory may not be theirs.
ENV PATH=/opt/mitlgan/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/workspace/.cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /workspace
USER 1000:1000
# The process is PID 1 and handles SIGTERM itself: `docker stop --time 60` saves a checkpoint first.
ENTRYPOINT ["mitlgan"]
CMD ["--help"]
