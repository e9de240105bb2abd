"""Writes the manifests that have their home elsewhere: the alert rules, and what the edge does.

    python deploy/kubernetes/write.py

`base/alerts.yaml` is made of `docker/alerts.yml`, `base/haproxy.cfg` of `deploy/compose/haproxy.cfg`: kustomize takes
no files from outside its folder. A test fails where the two differ.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kubernetes" / "base"
MOST_REPLICAS = 8
"""Servers that the edge knows, and the autoscaler's limit."""

_ALERTS_HEAD = """\
# Written by deploy/kubernetes/write.py from docker/alerts.yml: change the rules there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: lockon
spec:
"""
_EDGE_HEAD = """\
# Written by deploy/kubernetes/write.py from deploy/compose/haproxy.cfg, with TLS, and with the names of the replicas
# looked up in DNS. From the environment: EDGE_CERTIFICATE (its key is beside it, tls.key), NAMESPACE, CLUSTER_DOMAIN.

global
    # Sockets of an edge that is about to stop stay so long, then their clients resume.
    hard-stop-after 65s
    # tls.crt and tls.key, as Kubernetes names them.
    ssl-load-extra-del-ext
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20

resolvers kubernetes
    parse-resolv-conf
    resolve_retries 3
    timeout resolve 1s
    timeout retry 1s
    hold valid 2s
    hold nx 5s

# For the kubelet and for Prometheus.
frontend health
    mode http
    timeout client 10s
    bind *:8405
    monitor-uri /healthz
    http-request use-service prometheus-exporter if { path /metrics }

"""
_BIND = 'bind *:8443 ssl crt "${EDGE_CERTIFICATE}" alpn http/1.1'
_SERVER = re.compile(r'^    server lockon-(\d+) "\$\{LOCKON_\d+\}"(.*)\n', re.MULTILINE)


def alerts() -> str:
    """base/alerts.yaml."""
    rules = (ROOT / "docker" / "alerts.yml").read_text(encoding="utf-8")
    groups = rules[rules.index("groups:") :]
    return _ALERTS_HEAD + "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))


def edge() -> str:
    """base/haproxy.cfg."""
    rules = (ROOT / "deploy" / "compose" / "haproxy.cfg").read_text(encoding="utf-8")
    rules = rules[rules.index("defaults\n") :].replace('bind "${EDGE_BIND}"', _BIND)
    rules = re.sub(r"^(    default-server .*)$", r"\1 resolvers kubernetes init-addr none", rules, flags=re.MULTILINE)
    return _EDGE_HEAD + _SERVER.sub(_servers, rules)


def _servers(found: re.Match[str]) -> str:
    """All of them in place of the first one of a list, nothing in place of the others."""
    number, rest = found.groups()
    if number != "1":
        return ""
    place = "lockon.${NAMESPACE}.svc.${CLUSTER_DOMAIN}:8000"
    numbers = range(MOST_REPLICAS)
    return "".join(f'    server lockon-{i} "lockon-{i}.{place}"{rest.replace("-1", f"-{i}")}\n' for i in numbers)


if __name__ == "__main__":
    (BASE / "alerts.yaml").write_text(alerts(), encoding="utf-8")
    (BASE / "haproxy.cfg").write_text(edge(), encoding="utf-8")
