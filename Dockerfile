# One image for the app and the workers: docker-compose.yml says which command each container runs.

# The locked requirements. Torch and the CUDA libraries (nine tenths of it all) are set aside for layers of their own.
FROM python:3.11-slim AS requirements
WORKDIR /build
COPY requirements-uv.txt .
RUN python -m venv /uv && /uv/bin/pip install --no-cache-dir --require-hashes -r requirements-uv.txt
# Bytecode is checked by hash, not by time, so that the same requirements give the same layers.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never PYC_INVALIDATION_MODE=UNCHECKED_HASH
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/uv \
    /uv/bin/uv venv --python /usr/local/bin/python3.11 /venv \
    && /uv/bin/uv pip sync --python /venv/bin/python --require-hashes requirements.txt \
    && mkdir /cuda /torch \
    && mv /venv/lib/python3.11/site-packages/nvidia /cuda/ \
    && mv /venv/lib/python3.11/site-packages/torch /venv/lib/python3.11/site-packages/triton /torch/

# The page. Node comes from the package index too: there is one base image, and nothing of this stage but dist/ is kept.
FROM python:3.11-slim AS page
WORKDIR /page
COPY requirements-node.txt .
RUN python -m venv /node && /node/bin/pip install --no-cache-dir --require-hashes -r requirements-node.txt
# Node has a list of authorities of its own; those that the image trusts (a proxy's, where it has been added) count too.
ENV PATH=/node/bin:$PATH NODE_OPTIONS=--use-system-ca
COPY app/web/package.json app/web/package-lock.json app/web/.npmrc ./
RUN npm ci
COPY app/web ./
RUN npm run build

# The project itself, installed beside the requirements: its layer is small and the only one that a change of code makes.
FROM requirements AS project
COPY LICENSE README.md pyproject.toml ./
COPY models models
COPY worker worker
COPY app app
COPY --from=page /page/dist app/web/dist
RUN /uv/bin/uv pip install --python /venv/bin/python --target /atelier --offline --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin atelier \
    && install --directory --owner=atelier --group=atelier /data /data/images /data/models
COPY --from=requirements /cuda /venv/lib/python3.11/site-packages
COPY --from=requirements /torch /venv/lib/python3.11/site-packages
COPY --from=requirements /venv /venv
COPY --from=project /atelier /atelier
# HOME is where matplotlib and torch keep scratch files; the root file system may be read-only.
ENV PATH=/atelier/bin:/venv/bin:$PATH \
    PYTHONPATH=/atelier \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    ATELIER_DATA_DIR=/data \
    ATELIER_HOST=0.0.0.0
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["python", "-m", "app.cli.serve"]
