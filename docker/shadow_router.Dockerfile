# The router and the collector: one image, two commands.
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
COPY requirements/router.txt /requirements/
RUN --mount=type=bind,source=index,target=/index \
    --mount=type=secret,id=pip_global,target=/etc/pip.conf \
    --mount=type=secret,id=pip_user,target=/root/.config/pip/pip.conf \
    --mount=type=secret,id=certificates \
    ["/pip/bin/python", "/install.py", "/image/dependencies/app", "/requirements/router.txt"]

FROM dependencies AS system
COPY image/collect.py image/is_ready.py /
RUN ["python3", "/collect.py", "/image/dependencies/app", "/image/system"]

FROM pip AS code
COPY requirements/shadow_router.txt /requirements/
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
    SHADOW_ROUTER_PUBLIC_HOST=0.0.0.0 \
    SHADOW_ROUTER_PRIVATE_HOST=0.0.0.0 \
    SHADOW_ROUTER_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
EXPOSE 8000 8010
STOPSIGNAL SIGTERM
# The public port forwards /readyz to live, so this is for both halves in one container
# and for the router alone; the collector alone is asked on its own port, 8010.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python3", "/usr/local/bin/is_ready.py", "8000"]
ENTRYPOINT ["python3", "-m", "shadow_router"]
CMD ["serve"]
ARG BASE
ARG ROUTER_VERSION
ARG ROUTER_DIGEST
ARG REVISION
LABEL org.opencontainers.image.title="shadow_router" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${ROUTER_VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      shadow_router.wheel="${ROUTER_DIGEST}"
