# One image for every role: `dhmon collector`, `dhmon web`. Python 3.11 is what the tests run on.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# Without pip of its own: the finished environment holds nothing that installs or builds.
RUN python -m venv --without-pip /opt/dhmon
COPY requirements.lock requirements-lake.lock ./
RUN pip --python /opt/dhmon install --no-cache-dir --disable-pip-version-check \
    --require-hashes --requirement requirements.lock
# `--build-arg LAKE=yes`: with the DuckDB that has a DuckLake (docs/scale.md).
ARG LAKE=
RUN [ -z "$LAKE" ] || pip --python /opt/dhmon install --no-cache-dir \
    --disable-pip-version-check --require-hashes --requirement requirements-lake.lock
COPY pyproject.toml README.md LICENSE ./
COPY common ./common
COPY collector ./collector
COPY dashboards ./dashboards
COPY web ./web
RUN pip --python /opt/dhmon install --no-cache-dir --disable-pip-version-check \
      --no-index --no-deps --no-build-isolation . \
 && pip --python /opt/dhmon uninstall --yes editables hatchling

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 dhmon \
 && useradd --uid 10001 --gid dhmon --no-create-home --home-dir /var/lib/dhmon dhmon \
 && install --directory --owner=dhmon --group=dhmon --mode=0750 /var/lib/dhmon
COPY --from=build /opt/dhmon /opt/dhmon
ENV PATH=/opt/dhmon/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DHMON_COLLECTOR__LISTEN=0.0.0.0:8090 \
    DHMON_COLLECTOR__DATA=/var/lib/dhmon/monitor.duckdb \
    DHMON_WEB__LISTEN=0.0.0.0:8080 \
    DHMON_WEB__DATABASE=sqlite:////var/lib/dhmon/web.db \
    HEALTH_URL=http://127.0.0.1:8090/healthz
USER 10001:10001
WORKDIR /var/lib/dhmon
VOLUME ["/var/lib/dhmon"]
EXPOSE 8080 8090
# The web app sets HEALTH_URL to its own address.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=4)"]
ENTRYPOINT ["dhmon"]
CMD ["collector"]
