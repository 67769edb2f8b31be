# One role of the API: the service, and the model version that the role pins.
# The context is the folder that `tox run -e images` makes: index/, requirements/, image/.

# Seen in public Dockerfiles; docker/README.md says how to check and refresh it.
ARG BASE=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS pip
# Sets have one order, so compiled modules have one content.
ENV PYTHONHASHSEED=0
RUN ["python3", "-m", "venv", "/pip"]
COPY image/install.py /

# What changes seldom comes first: the dependencies, and the Python that runs them.
FROM pip AS dependencies
COPY requirements/base.txt /requirements/
RUN --mount=type=bind,source=index,target=/index \
    --mount=type=secret,id=pip_global,target=/etc/pip.conf \
    --mount=type=secret,id=pip_user,target=/root/.config/pip/pip.conf \
    --mount=type=secret,id=certificates \
    ["/pip/bin/python", "/install.py", "/image/dependencies/app", "/requirements/base.txt"]

FROM dependencies AS system
COPY image/collect.py image/is_ready.py /
RUN ["python3", "/collect.py", "/image/dependencies/app", "/image/system"]

FROM pip AS code
ARG ROLE
COPY requirements/${ROLE}.txt requirements/iris_api.txt /requirements/
RUN --mount=type=bind,source=index,target=/index \
    ["/pip/bin/python", "/install.py", "--offline", "/image/code/app", "/requirements"]

FROM scratch
COPY --from=system /image/system /
COPY --from=dependencies /image/dependencies /
COPY --from=code /image/code /
COPY --from=system --chown=10001:10001 /image/owned /
ENV PATH=/usr/local/bin:/usr/bin \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    ORT_DISABLE_TELEMETRY=1 \
    IRIS_API_HOST=0.0.0.0 \
    IRIS_API_PORT=8001
USER 10001:10001
WORKDIR /data
EXPOSE 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python3", "/usr/local/bin/is_ready.py", "8001"]
ENTRYPOINT ["python3", "-m", "iris_api"]
ARG BASE
ARG ROLE
ARG API_VERSION
ARG API_DIGEST
ARG MODEL_VERSION
ARG MODEL_DIGEST
ARG REVISION
LABEL org.opencontainers.image.title="iris_api" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${API_VERSION}-model-${MODEL_VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      iris.api.version="${API_VERSION}" \
      iris.api.wheel="${API_DIGEST}" \
      iris.model.version="${MODEL_VERSION}" \
      iris.model.wheel="${MODEL_DIGEST}" \
      iris.role="${ROLE}"
