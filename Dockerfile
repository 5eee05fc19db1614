# The server: `nmtune-server up | api | worker | migrate` (docs/run/compose.md).
#   docker build -t nmtune-server .                          CPU
#   docker build -t nmtune-server --build-arg TORCH=cuda .   NVIDIA GPU
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# What we depend on: built again only when a pyproject.toml or constraints.txt change.
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/nmtune
ENV PATH=/opt/nmtune/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
# cpu: PyTorch's own index, for the package index has the CUDA build under the same version, several
# GB of it; no CUDA build satisfies "+cpu". cuda: the package index.
ARG TORCH=cpu
RUN torch="$(grep '^torch==' constraints.txt)" \
 && case "$TORCH" in \
      cpu) pip install -c constraints.txt "$torch+cpu" \
             --extra-index-url https://download.pytorch.org/whl/cpu ;; \
      cuda) pip install -c constraints.txt "$torch" ;; \
      *) echo "TORCH is cpu or cuda, not '$TORCH'" >&2; exit 1 ;; \
    esac
COPY pyproject.toml ./
COPY nmtune/pyproject.toml nmtune/
COPY clients/python/pyproject.toml clients/python/
COPY deploy/requirements.py deploy/
ARG EXTRAS=s3,sso
RUN python deploy/requirements.py "$EXTRAS" \
      pyproject.toml nmtune/pyproject.toml clients/python/pyproject.toml >requirements.txt \
 && pip install -c constraints.txt -r requirements.txt

# What we are.
FROM ${PYTHON_IMAGE} AS wheels
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN pip wheel --no-deps --wheel-dir /wheels ./nmtune . ./clients/python

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="nmtune-server" \
      org.opencontainers.image.description="Tunes NMTune heads on frozen embeddings and serves them over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
# The ids are fixed: the owner of a volume must not change with an upgrade.
RUN groupadd --gid 10001 nmtune \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin nmtune \
 && install -d -o nmtune -g nmtune -m 0750 /var/lib/nmtune
COPY --from=dependencies /opt/nmtune /opt/nmtune
ENV PATH=/opt/nmtune/bin:$PATH
COPY --from=wheels /wheels /tmp/wheels
RUN pip install --no-deps --no-index --no-cache-dir /tmp/wheels/*.whl && pip check && rm -r /tmp/wheels
# Works with a read-only root: it writes to the data folder and to /tmp alone.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    NMTUNE_DATA_DIR=/var/lib/nmtune \
    NMTUNE_HOST=0.0.0.0
USER 10001:10001
WORKDIR /var/lib/nmtune
EXPOSE 8000
ENTRYPOINT ["nmtune-server"]
CMD ["up"]
