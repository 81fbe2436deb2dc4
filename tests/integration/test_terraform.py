"""The infrastructure against a local S3 server: it applies, a second plan is empty, what it promises holds, it can be destroyed."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from sanyu.lake.folders import names, readable_by

pytestmark = pytest.mark.server

TERRAFORM = Path(__file__).resolve().parents[2] / "infra" / "terraform"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
ARNS = {role: [f"arn:aws:iam::123456789012:role/{role}s"] for role in ("writer", "reader", "consumer")}


@pytest.fixture(scope="module")
def terraform() -> str:
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("Terraform is not on this machine")
    return found


@pytest.fixture(scope="module")
def mirror() -> Path:
    """The folder that holds the AWS provider, because no registry is asked."""
    named = os.environ.get("SANYU_TF_PLUGINS")
    places = [Path(named)] if named else [Path("/opt/tf-plugins"), Path.home() / ".terraform.d" / "plugins"]
    for place in places:
        if next(place.glob("registry.terraform.io/hashicorp/aws/5.*"), None):
            return place
    pytest.skip("the provider hashicorp/aws 5 is in no local mirror; name one in SANYU_TF_PLUGINS")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=sink, stderr=sink)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline and server.poll() is None, log.read_text()
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


class Environment:
    """A copy of one environment with its own state, so that nothing is written into the project."""

    def __init__(self, terraform: str, mirror: Path, folder: Path, endpoint: str, name: str) -> None:
        shutil.copytree(TERRAFORM, folder / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        self.work = folder / "terraform" / "envs" / name
        config = folder / "cli.tfrc"
        config.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
        variables = {"region": "us-east-1", "bucket": f"sanyu-{name}", "endpoint": endpoint, "trusted_principals": ARNS}
        (self.work / "terraform.tfvars.json").write_text(json.dumps(variables))
        self._terraform = terraform
        self._env = {**os.environ, **KEYS, "TF_CLI_CONFIG_FILE": str(config), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [self._terraform, *arguments, "-no-color"],
            check=False,
            cwd=self.work,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stderr if done.returncode == 1 else done.stdout


@pytest.fixture(scope="module")
def dev(terraform: str, mirror: Path, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    made = Environment(terraform, mirror, tmp_path_factory.mktemp("dev"), endpoint, "dev")
    made.run("init", "-input=false")
    made.run("apply", "-auto-approve", "-input=false")
    yield made
    made.run("destroy", "-auto-approve", "-input=false")
    assert _client("s3", endpoint).list_buckets()["Buckets"] == []


def _client(service: str, endpoint: str) -> Any:
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


def test_a_second_plan_is_empty(dev: Environment) -> None:
    assert "No changes." in dev.run("plan", "-detailed-exitcode", "-input=false")


def test_the_bucket_is_private_versioned_encrypted_and_refuses_plain_http(dev: Environment, endpoint: str) -> None:
    s3 = _client("s3", endpoint)
    assert s3.get_bucket_versioning(Bucket="sanyu-dev")["Status"] == "Enabled"
    rule = s3.get_bucket_encryption(Bucket="sanyu-dev")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert set(s3.get_public_access_block(Bucket="sanyu-dev")["PublicAccessBlockConfiguration"].values()) == {True}
    policy = json.loads(s3.get_bucket_policy(Bucket="sanyu-dev")["Policy"])["Statement"][0]
    assert (policy["Effect"], policy["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_each_prefix_has_one_expiry_of_old_versions(dev: Environment, endpoint: str) -> None:
    rules = _client("s3", endpoint).get_bucket_lifecycle_configuration(Bucket="sanyu-dev")["Rules"]
    days = {r["Filter"]["Prefix"]: r["NoncurrentVersionExpiration"]["NoncurrentDays"] for r in rules if "NoncurrentVersionExpiration" in r}
    assert days == {"quarantine/": 30, **{f"{name}/": 7 for name in names() if name != "quarantine"}}
    assert all("Expiration" not in r for r in rules)


@pytest.mark.parametrize(
    ("role", "actions", "prefixes"),
    [
        ("consumer", {"s3:GetObject"}, {"release"}),
        ("reader", {"s3:GetObject"}, {*readable_by("reader")}),
        ("writer", {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}, {*names()}),
    ],
)
def test_a_role_may_touch_its_prefixes_only(dev: Environment, endpoint: str, role: str, actions: set[str], prefixes: set[str]) -> None:
    policy = _client("iam", endpoint).get_role_policy(RoleName=f"sanyu-dev-{role}", PolicyName="lake")["PolicyDocument"]
    statements = [{k: [v] if isinstance(v, str) else v for k, v in s.items() if k in ("Action", "Resource")} for s in policy["Statement"]]
    objects = [s for s in statements if any(r.endswith("/*") for r in s["Resource"])]
    assert {a for s in objects for a in s["Action"]} == actions
    assert {r.removeprefix("arn:aws:s3:::sanyu-dev/").removesuffix("/*") for s in objects for r in s["Resource"]} == prefixes
    others = {a for s in statements if s not in objects for a in s["Action"]}
    assert others <= {"s3:ListBucket", "kms:Decrypt", "kms:GenerateDataKey"}


def test_everyone_is_never_trusted(dev: Environment) -> None:
    trusted = json.dumps({**ARNS, "reader": ["*"]})
    said = dev.run("plan", "-input=false", "-var", f"trusted_principals={trusted}", codes=(1,))
    assert 'Name at least one ARN for each role, and never "*".' in " ".join(re.sub(r"[│╷╵]", " ", said).split())


def test_production_is_valid_and_keeps_its_data(terraform: str, mirror: Path, endpoint: str, tmp_path: Path) -> None:
    prod = Environment(terraform, mirror, tmp_path, endpoint, "prod")
    prod.run("init", "-backend=false", "-input=false")
    assert json.loads(prod.run("validate", "-json"))["valid"]
    assert "force_destroy" not in (prod.work / "main.tf").read_text()
