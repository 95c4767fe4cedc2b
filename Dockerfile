# The image of Promo Sandbox: `docker build -t promo-sandbox .`, then `docker run -p 8080:8080 promo-sandbox`.
# Every option of `promo-sandbox serve` is a SANDBOX_… variable; docs/ci.md shows how pipelines use it.
# The server listens on all addresses: set SANDBOX_ADMIN_TOKEN to protect the admin API.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_BUILD_CONSTRAINT=/build/requirements.lock \
    PIP_CONSTRAINT=/build/requirements.lock \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY . .
# The build compiles bytecode (valid for any file dates) and fills the cache of the specs, because a container may run
# with a read-only file system.
RUN pip wheel --no-deps --wheel-dir dist . \
 && python -m venv --without-pip /opt/promo-sandbox \
 && pip --python /opt/promo-sandbox/bin/python install --no-compile dist/*.whl \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/promo-sandbox/lib \
 && /opt/promo-sandbox/bin/promo-sandbox routes > /dev/null

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Promo Sandbox" \
      org.opencontainers.image.description="A mock server for the promotion, voucher and loyalty APIs of commerce vendors" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/promo-sandbox/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SANDBOX_HOST=0.0.0.0 \
    SANDBOX_PORT=8080 \
    SANDBOX_SCENARIOS=/scenarios
# The base image has no bytecode of the standard library; without it, every start takes half a second longer.
# /scenarios is for a mount: --scenarios must name an existing folder.
RUN python -m compileall -q -x "/(site-packages|ensurepip|idlelib|lib2to3|tkinter|turtledemo|test|tests)/" \
      --invalidation-mode unchecked-hash "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && mkdir /scenarios
COPY --from=build /opt/promo-sandbox /opt/promo-sandbox
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=0.25s --retries=3 \
    CMD ["promo-sandbox", "health"]
ENTRYPOINT ["promo-sandbox"]
CMD ["serve"]
