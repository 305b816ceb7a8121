# The service for a PostgreSQL of yours: docs/operations.md, Containers.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/grantledger
COPY requirements.lock ./
RUN /opt/grantledger/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY application application
COPY projections projections
COPY api api
RUN /opt/grantledger/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home grantledger \
    && install --directory --owner grantledger --mode 0700 /var/lib/grantledger
COPY --from=build /opt/grantledger /opt/grantledger
ENV PATH=/opt/grantledger/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    GRANTLEDGER_HOST=0.0.0.0 \
    GRANTLEDGER_DATA_DIR=/var/lib/grantledger
USER 10001
WORKDIR /var/lib/grantledger
VOLUME /var/lib/grantledger
EXPOSE 8000
# By the health of the process and not by /readyz: a database that is away for a while is no reason
# to start the service anew.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD \
    ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz')"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["grantledger"]
CMD ["serve"]
