# ctct in a container, for the CPU: docker build -t ctct .
# With a GPU: docker build --build-arg BASE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04
#   --build-arg EXTRAS=demo,gpu,node -t ctct:gpu .
ARG BASE=python:3.13-slim

FROM python:3.13-slim AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE}
ARG EXTRAS=demo,node
RUN command -v python3 >/dev/null || { \
      apt-get update && apt-get install -y --no-install-recommends python3-venv && \
      rm -rf /var/lib/apt/lists/*; }
RUN useradd --uid 10001 --home-dir /data --no-create-home ctct && install -d -o ctct -g ctct -m 700 /data
COPY --from=wheel /wheels /wheels
RUN python3 -m venv /opt/ctct && \
    /opt/ctct/bin/pip install --no-cache-dir "$(echo /wheels/*.whl)[$EXTRAS]"
ENV PATH=/opt/ctct/bin:$PATH HOME=/data PYTHONUNBUFFERED=1
# Everything else may be read-only; /tmp takes the uploads of the demo.
VOLUME ["/data", "/tmp"]
WORKDIR /data
USER ctct
# Of ctct node; compose.yaml has that of ctct demo.
HEALTHCHECK --start-period=120s --interval=30s --timeout=5s CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:11180/health')"]
ENTRYPOINT ["ctct"]
CMD ["--help"]
