"""The manifests against the schemas of Kubernetes, and what they say against what mmkeras reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mmkeras.core.command_line import parse
from mmkeras.training.cluster.launch import PEER_LOST
from mmkeras.training.cluster.members import find_members
from pipelines.vqa import VqaConfig
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.34")
# What the two custom resources have, from their definitions; the pods inside are checked as Kubernetes' own.
JOBSET = {"network", "failurePolicy", "replicatedJobs", "successPolicy", "startupPolicy", "suspend"}
TFJOB = {"runPolicy", "tfReplicaSpecs", "successPolicy", "enableDynamicWorker"}


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _jobs() -> list[Any]:
    """Return (file, as a Job of Kubernetes, host of a worker) of every manifest that trains."""
    (_, indexed) = _documents(FOLDER / "indexed-job.yaml")
    (jobset,) = _documents(FOLDER / "jobset.yaml")
    (tfjob,) = _documents(FOLDER / "tfjob.yaml")
    (replicated,) = jobset["spec"]["replicatedJobs"]
    inside = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "inside"}, **replicated["template"]}
    worker = tfjob["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    as_job = {"spec": {**worker["spec"], "restartPolicy": "OnFailure"}}
    pod = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pods"}, "spec": {"template": as_job}}
    service = indexed["spec"]["template"]["spec"]["subdomain"]
    name = f"{jobset['metadata']['name']}-{replicated['name']}-0"
    return [
        pytest.param(indexed, f"{indexed['metadata']['name']}-{{index}}.{service}", id="indexed-job"),
        pytest.param(inside, f"{name}-{{index}}.{jobset['spec']['network']['subdomain']}", id="jobset"),
        pytest.param(pod, None, id="tfjob"),
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", [FOLDER / "indexed-job.yaml", FOLDER / "storage.yaml"], ids=lambda path: path.stem)
def test_manifests_follow_the_schemas(path, version):
    for document in _documents(path):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("job", "host"), _jobs())
def test_the_pods_of_every_kind_follow_the_schemas(job, host, version):
    kubernetes_validate.validate(job, version, strict=True)


def test_the_check_sees_a_wrong_field():
    (_, job) = _documents(FOLDER / "indexed-job.yaml")
    job["spec"]["completion"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[0], strict=True)


def test_custom_resources_have_known_fields():
    (jobset,), (tfjob,) = _documents(FOLDER / "jobset.yaml"), _documents(FOLDER / "tfjob.yaml")
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert set(jobset["spec"]) <= JOBSET
    assert all(set(job) == {"name", "replicas", "template"} for job in jobset["spec"]["replicatedJobs"])
    assert (tfjob["apiVersion"], tfjob["kind"]) == ("kubeflow.org/v1", "TFJob")
    assert set(tfjob["spec"]) <= TFJOB
    worker = tfjob["spec"]["tfReplicaSpecs"]["Worker"]
    assert set(worker) == {"replicas", "restartPolicy", "template"}
    assert worker["template"]["spec"]["containers"][0]["name"] == "tensorflow"


@pytest.mark.parametrize(("job", "host"), _jobs())
def test_workers_find_each_other(job, host):
    (container,) = job["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container.get("env", ())}
    if host is None:
        assert environment == {}  # the operator sets TF_CONFIG
        return
    count = job["spec"]["completions"]
    assert job["spec"]["parallelism"] == count
    assert job["spec"]["completionMode"] == "Indexed"
    port = container["ports"][0]["containerPort"]
    for index in range(count):
        members = find_members({**environment, "JOB_COMPLETION_INDEX": str(index)})
        assert members is not None
        assert members.rank == index
        assert members.hosts == tuple(f"{host.replace('{index}', str(n))}:{port}" for n in range(count))


@pytest.mark.parametrize(("job", "host"), _jobs())
def test_the_command_is_one_that_the_pipeline_understands(job, host):
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][:3] == ["python", "-m", "pipelines.vqa"]
    arguments = [*container["command"][3:], *(each for each in container["args"] if each != "--skip_export")]
    config, _ = parse(VqaConfig, arguments, program="vqa", description="")
    assert config.cluster.resume_unfinished
    shared = container["volumeMounts"][0]["mountPath"]
    assert config.runs.startswith(shared)
    assert config.data.folder.startswith(shared)
    (volume,) = job["spec"]["template"]["spec"]["volumes"]
    (claim,) = _documents(FOLDER / "storage.yaml")
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_service_names_the_pods_of_the_job():
    service, job = _documents(FOLDER / "indexed-job.yaml")
    assert service["spec"]["clusterIP"] == "None"
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"]
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": job["metadata"]["name"]}


def test_restarts_follow_the_exit_statuses():
    (_, job) = _documents(FOLDER / "indexed-job.yaml")
    rules = [rule for rule in job["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert {rule["action"]: rule["onExitCodes"]["values"] for rule in rules} == {
        "Ignore": [PEER_LOST, 130],
        "FailJob": [2],
    }


def test_the_image_copies_what_there_is():
    lines = (REPOSITORY / "deploy" / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied
    assert all((REPOSITORY / name).exists() for name in copied)
