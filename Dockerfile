# syntax=docker/dockerfile:1
#
# CPU:       docker build -t mitlgan .
# CUDA:      docker build -t mitlgan:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# Commands:  docker run --rm -v "$PWD:/workspace" --user "$(id -u):$(id -g)" mitlgan demo
#            with --gpus all for CUDA; runs/ and the cache stay in the mounted folder.
#
# Studio:    docker build -t mitlgan:studio --target studio .
#            docker run --rm -p 127.0.0.1:8765:8765 -v "$PWD:/workspace" --user "$(id -u):$(id -g)" -e MITLGAN_STUDIO_TOKEN mitlgan:studio
#            does not start without the secret MITLGAN_STUDIO_TOKEN, and prints the address with it.
# Notebook:  docker build -t mitlgan:notebook --target notebook .
#            docker run --rm --init -p 127.0.0.1:8888:8888 -v "$PWD:/workspace" --user "$(id -u):$(id -g)" -e JUPYTER_TOKEN mitlgan:notebook
#            puts the tour into the folder; without JUPYTER_TOKEN JupyterLab makes a token of its own, and prints the address with it.

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
# `data`: OpenCV for faces, OpenCV and onnxruntime for `data split`.
RUN pip install "/source[data]"

FROM build AS build-studio
RUN pip install "/source[studio,video,data]"

FROM build AS build-notebook
RUN pip install "/source[notebook,video,data]"

FROM python:${PYTHON_VERSION}-slim-bookworm AS base
LABEL org.opencontainers.image.title="mitlgan" \
      org.opencontainers.image.description="Compose generators, and compare honestly with a plain WGAN" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --create-home --uid 1000 mitlgan \
    && install --directory --owner=mitlgan --mode=0777 /workspace
# Caches are in the mounted folder, which any --user can write; the home directory may not be theirs.
ENV PATH=/opt/mitlgan/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/workspace/.cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /workspace
USER 1000:1000

FROM base AS studio
COPY --from=build-studio /opt/mitlgan /opt/mitlgan
EXPOSE 8765
# Signals reach the server itself, which is PID 1: `docker stop` lets it finish what it answers.
ENTRYPOINT ["mitlgan", "studio", "--host", "0.0.0.0", "--port", "8765"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os; from urllib.request import Request, urlopen; urlopen(Request('http://127.0.0.1:8765/', headers={'Authorization': 'Bearer ' + os.environ['MITLGAN_STUDIO_TOKEN']}), timeout=8)"]

FROM base AS notebook
COPY --from=build-notebook /opt/mitlgan /opt/mitlgan
COPY recipes/tour.ipynb /usr/local/share/mitlgan/tour.ipynb
# Jupyter writes settings and sockets to the home directory, which may not be there for another --user.
ENV HOME=/tmp
EXPOSE 8888
# `exec`: signals reach JupyterLab itself. A tour that is in the folder already is its owner's.
ENTRYPOINT ["sh", "-c", "test -e tour.ipynb || cp /usr/local/share/mitlgan/tour.ipynb .; exec jupyter lab --ip=0.0.0.0 --port=8888 --no-browser --LabApp.default_url=/lab/tree/tour.ipynb \"$@\"", "jupyter"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8888/api', timeout=8)"]

# The last one is what is built where no target is named.
FROM base AS train
COPY --from=build /opt/mitlgan /opt/mitlgan
# The process is PID 1 and handles SIGTERM itself: `docker stop --time 60` saves a checkpoint first.
ENTRYPOINT ["mitlgan"]
CMD ["--help"]
