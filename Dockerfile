# The image of the operator, of the gateway and of the simulated engine: one program with its runtime dependencies.
#
#   docker build -t inferops:0.1.0 .
#
# Both stages stand on the same image, by its version and its digest, which is that of all architectures. For another:
# docker buildx imagetools inspect python:TAG tells the digest, and --build-arg PYTHON=… PYTHON_DIGEST=… take it.
ARG PYTHON=3.13.9-slim-trixie
ARG PYTHON_DIGEST=sha256:326df678c20c78d465db501563f3492d17c42a4afe33a1f2bf5406a1d56b0e86

FROM python:${PYTHON}@${PYTHON_DIGEST} AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY operator operator
# Exact versions by constraints.txt; the extra is for --otlp-endpoint. Bytecode that is checked by content, and not by
# times, since a copy changes those, and nobody can write it anew.
RUN python -m pip install --no-cache-dir --no-compile --disable-pip-version-check --root-user-action=ignore \
      --target /opt/inferops --constraint constraints.txt '.[otel]' \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/inferops

FROM python:${PYTHON}@${PYTHON_DIGEST}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="inferops" \
      org.opencontainers.image.description="A Kubernetes operator for inference, with its gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
# Nothing is installed into a running container.
RUN rm -rf /usr/local/lib/python3.*/site-packages/* /usr/local/lib/python3.*/ensurepip /usr/local/bin/pip*
COPY --from=build /opt/inferops /opt/inferops
ENV PATH=/opt/inferops/bin:$PATH \
    PYTHONPATH=/opt/inferops \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["inferops"]
