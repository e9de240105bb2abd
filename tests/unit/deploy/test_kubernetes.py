"""deploy/kubernetes: that the manifests are what the API takes, and fit one another, the server and the documents."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from service.settings import ENV_PREFIX, Settings
from service.telemetry.catalogue import BY_NAME, PREFIX
from tests.unit.deploy.tools import DEPLOY, ran

KUBERNETES = DEPLOY / "kubernetes"
BASE = KUBERNETES / "base"
README = (KUBERNETES / "README.md").read_text(encoding="utf-8")
OVERLAYS = ("cpu", "gpu")
API_VERSION = "1.33"
"""Of Kubernetes: the oldest one that takes all that is used here."""
CUSTOM = json.loads(Path(__file__).with_name("custom_resources.json").read_text(encoding="utf-8"))

Manifest = dict[str, Any]


def base() -> list[Manifest]:
    """What stands in the files of the base."""
    named = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    texts = [(BASE / name).read_text(encoding="utf-8") for name in named]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text)]


@functools.cache
def rendered(overlay: str) -> list[Manifest]:
    """What is applied."""
    return list(yaml.safe_load_all(ran("kubectl", "kustomize", KUBERNETES / "overlays" / overlay)))


def check(manifest: Manifest) -> None:
    """Raises where the API would refuse it: by Kubernetes' own schemas, and by ours of what others define."""
    if manifest["kind"] in CUSTOM:
        jsonschema.Draft202012Validator(CUSTOM[manifest["kind"]]).validate(manifest["spec"])
    else:
        kubernetes_validate.validate(manifest, API_VERSION, strict=True)


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Each workload's name and its pods' template."""
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]


def only(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def replica(manifests: list[Manifest]) -> Manifest:
    """The spec of the replicas' pods."""
    spec: Manifest = only(manifests, "StatefulSet", "lockon")["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("manifest", base(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_every_manifest_is_what_the_api_takes(manifest: Manifest) -> None:
    check(manifest)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_renders_to_what_the_api_takes(overlay: str) -> None:
    manifests = rendered(overlay)
    assert len(manifests) == len(base()) + 1
    for manifest in manifests:
        check(manifest)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "lockon", manifest["metadata"]


@pytest.mark.parametrize("kind", CUSTOM)
def test_a_field_that_nobody_knows_is_refused(kind: str) -> None:
    (manifest,) = [each for each in base() if each["kind"] == kind]
    with pytest.raises(jsonschema.ValidationError):
        check({**manifest, "spec": manifest["spec"] | {"replicsa": 2}})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_process_is_locked_down_and_bounded(overlay: str) -> None:
    for name, template in pods(rendered(overlay)):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"]["cpu"], name
            assert {"livenessProbe", "readinessProbe"} <= set(container), name
            assert container["image"].partition(":")[2] not in ("", "latest"), name


def test_selectors_find_pods_and_ports_have_names_that_there_are() -> None:
    manifests = base()
    labelled = [(template["metadata"]["labels"], template["spec"]) for _, template in pods(manifests)]
    ports = {port["name"] for _, spec in labelled for each in spec["containers"] for port in each["ports"]}
    found = 0
    for selector in _selectors(manifests):
        matching = [spec for labels, spec in labelled if selector.items() <= labels.items()]
        assert matching, selector
        found += 1
    assert found >= 15
    for kind, named in _named_ports(manifests):
        assert named in ports, (kind, named)


def _selectors(node: Any) -> Iterator[dict[str, str]]:
    """Whatever chooses pods by their labels."""
    if isinstance(node, list):
        for each in node:
            yield from _selectors(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("podSelector", "labelSelector", "selector") and value:
                yield value.get("matchLabels", value)
            elif key != "namespaceSelector":
                yield from _selectors(value)


def _named_ports(manifests: list[Manifest]) -> Iterator[tuple[str, str]]:
    for manifest in manifests:
        for port in re.findall(r"'(?:targetPort|port)': '([a-z]+)'", str(manifest)):
            yield manifest["kind"], port


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_variables_are_settings_and_secrets_are_referred_to(overlay: str) -> None:
    fields = Settings.model_fields
    for variable in replica(rendered(overlay))["containers"][0]["env"]:
        name = variable["name"].removeprefix(ENV_PREFIX).lower()
        if name == variable["name"].lower():
            continue
        section, _, key = name.partition("__")
        annotation = fields[section].annotation
        assert annotation is not None
        assert key in annotation.model_fields, variable["name"]
        if key in ("url", "token_keys"):
            assert "secretKeyRef" in variable["valueFrom"]
    assert not any(manifest["kind"] == "Secret" for manifest in rendered(overlay))


def test_secrets_files_and_values_are_documented() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(KUBERNETES.rglob("*.yaml")))
    for secret in set(re.findall(r"secretName: (\S+)", text)) | {"lockon-store", "lockon-metrics"}:
        assert f"secret generic {secret}" in README or f"secret tls {secret}" in README, secret
    for path in sorted(KUBERNETES.rglob("*")):
        if path.suffix in (".yaml", ".cfg", ".py"):
            assert path.name in README, path
    for variable in set(re.findall(r"name: ((?:LOCKON|EDGE|CLUSTER)_\w+)", text)):
        assert variable in README, variable


def test_a_pod_has_time_to_drain_before_it_is_killed() -> None:
    spec = replica(base())
    container = spec["containers"][0]
    drain_s = next(float(each["value"]) for each in container["env"] if each["name"] == "LOCKON_LIMITS__DRAIN_S")
    assert spec["terminationGracePeriodSeconds"] > container["lifecycle"]["preStop"]["sleep"]["seconds"] + drain_s + 5
    edge = only(base(), "Deployment", "edge")["spec"]["template"]["spec"]
    stops_s = int(re.findall(r"hard-stop-after (\d+)s", (BASE / "haproxy.cfg").read_text(encoding="utf-8"))[0])
    pause_s = edge["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert edge["terminationGracePeriodSeconds"] > pause_s + stops_s


def test_the_probes_are_asked_of_doors_that_there_are() -> None:
    container = replica(base())["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["ports"] == [{"name": "http", "containerPort": 8000}]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_autoscaler_asks_for_metrics_that_there_are(overlay: str, tmp_path: Path) -> None:
    spec = only(rendered(overlay), "ScaledObject", "lockon")["spec"]
    queries = [trigger["metadata"]["query"] for trigger in spec["triggers"]]
    for name in re.findall(rf"{PREFIX}(\w+)", " ".join(queries)):
        assert name.removesuffix("_bucket") in BY_NAME
    rules = [{"record": f"asked:{i}", "expr": query} for i, query in enumerate(queries)]
    path = tmp_path / "asked.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}), encoding="utf-8")
    assert "2 rules found" in ran("promtool", "check", "rules", path)


def _writer() -> ModuleType:
    """deploy/kubernetes/write.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("deploy_kubernetes_write", KUBERNETES / "write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_written_from_elsewhere_is_up_to_date() -> None:
    writer = _writer()
    for name, text in (("alerts.yaml", writer.alerts()), ("haproxy.cfg", writer.edge())):
        assert (BASE / name).read_text(encoding="utf-8") == text, "python deploy/kubernetes/write.py"
    rules = yaml.safe_load((DEPLOY.parent / "docker" / "alerts.yml").read_text(encoding="utf-8"))
    assert only(base(), "PrometheusRule", "lockon")["spec"] == rules
    # The rules ask for this job, which is the service's label.
    assert 'up{job="lockon"}' in writer.alerts()
    assert only(base(), "Service", "lockon")["metadata"]["labels"]["app.kubernetes.io/name"] == "lockon"


def test_the_edge_knows_every_replica_that_there_may_be() -> None:
    rules = (BASE / "haproxy.cfg").read_text(encoding="utf-8")
    most = only(base(), "ScaledObject", "lockon")["spec"]["maxReplicaCount"]
    servers = re.findall(r"^    server (lockon-\d+) \"(\S+)\" (\S+)", rules, re.MULTILINE)
    assert [name for name, _, _ in servers] == 2 * [f"lockon-{i}" for i in range(most)]
    assert all(
        place.startswith(f"{name}.lockon.") and place.endswith(':8000"'.strip('"')) for name, place, _ in servers
    )


def test_haproxy_reads_its_file_with_a_certificate_as_kubernetes_names_it(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing")
    files = ("-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.crt"))
    wanted = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=edge", "-days", "1")
    subprocess.run(["openssl", "req", "-x509", *wanted, *files], check=True, capture_output=True)
    told = {"EDGE_CERTIFICATE": str(tmp_path / "tls.crt"), "NAMESPACE": "lockon", "CLUSTER_DOMAIN": "cluster.local"}
    ran("haproxy", "-c", "-f", BASE / "haproxy.cfg", **told)
