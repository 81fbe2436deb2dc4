"""A lake on an object store that speaks S3 and honours conditional writes (`If-None-Match: *`, `If-Match`), as AWS does since 2024."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sanyu.lake.base import Blob, Scheme, Store, checked, checked_url
from sanyu.settings import Settings
from schemas.messages import SanyuError

_CONFLICT_TRIES = 6


class S3Store(Store):
    """Objects below `s3a://bucket/prefix`; access from the settings, else from the variables and roles that boto3 knows."""

    def __init__(self, url: str, settings: Settings) -> None:
        bucket, _, prefix = url.split("://", 1)[1].partition("/")
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        self.url = checked_url(f"s3a://{bucket}/{self.prefix}".rstrip("/"))
        self.endpoint = settings.s3_endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self.region = settings.s3_region
        keys = settings.s3_keys()
        given = {}
        if keys is not None:
            given = {
                "aws_access_key_id": keys.access_key.get_secret_value(),
                "aws_secret_access_key": keys.secret_key.get_secret_value(),
                "aws_session_token": keys.session_token.get_secret_value() if keys.session_token else None,
            }
        with self._explained():
            self._session = boto3.Session(profile_name=settings.s3_profile, region_name=self.region, **given)
            # Path style: an endpoint of one's own has no name per bucket. Some refuse the checksum headers that botocore adds by itself.
            addressing = {"addressing_style": "path" if self.endpoint else "auto"}
            config = Config(
                s3=addressing,
                retries={"max_attempts": 5, "mode": "standard"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
            self._s3: Any = self._session.client("s3", endpoint_url=self.endpoint, config=config)

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{checked(key)}" if self.prefix else checked(key)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what boto3 raises into SY-L012, which names bucket and endpoint."""
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise SanyuError("SY-L012", bucket=self.bucket, endpoint=self.endpoint or "AWS", detail=str(error)) from error

    def read(self, key: str) -> Blob | None:
        with self._explained():
            try:
                answer = self._s3.get_object(Bucket=self.bucket, Key=self._name(key))
            except self._s3.exceptions.NoSuchKey:
                return None
            return Blob(answer["Body"].read(), answer["ETag"])

    def put(self, key: str, data: bytes) -> None:
        with self._explained():
            self._s3.put_object(Bucket=self.bucket, Key=self._name(key), Body=data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._conditional(key, data, IfNoneMatch="*")

    def replace_if(self, key: str, data: bytes, etag: str) -> bool:
        return self._conditional(key, data, IfMatch=etag)

    def _conditional(self, key: str, data: bytes, **condition: str) -> bool:
        """Put under a condition. 412 and 404 say that it doesn't hold; 409 that another write is in progress, so ask again."""

        def attempt() -> bool | None:
            try:
                self._s3.put_object(Bucket=self.bucket, Key=self._name(key), Body=data, **condition)
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                code = error.response.get("Error", {}).get("Code")
                if status == 412 or code == "NoSuchKey":
                    return False
                if status == 409:
                    return None
                raise
            return True

        with self._explained():
            return _until_settled(attempt)

    def keys(self, prefix: str = "") -> list[str]:
        base = self._folder(prefix)
        keys = [item["Key"] for page in self._pages(Prefix=base) for item in page.get("Contents", ())]
        skip = len(self.prefix) + 1 if self.prefix else 0
        return sorted(k[skip:] for k in keys if not any(part.startswith(".") for part in k[skip:].split("/")))

    def folders(self, prefix: str = "") -> list[str]:
        base = self._folder(prefix)
        found = [p["Prefix"] for page in self._pages(Prefix=base, Delimiter="/") for p in page.get("CommonPrefixes", ())]
        return sorted(name for f in found if not (name := f[len(base) :].strip("/")).startswith("."))

    def _folder(self, prefix: str) -> str:
        name = self._name(prefix) if prefix else self.prefix
        return f"{name.rstrip('/')}/" if name else ""

    def _pages(self, **options: str) -> Iterator[dict[str, Any]]:
        with self._explained():
            yield from self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **options)

    def exists(self, key: str) -> bool:
        with self._explained():
            try:
                self._s3.head_object(Bucket=self.bucket, Key=self._name(key))
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
                    raise
            else:
                return True
            answer = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=self._folder(key), MaxKeys=1)
            return bool(answer.get("KeyCount"))

    def modified_at(self, key: str) -> dt.datetime | None:
        with self._explained():
            try:
                head = self._s3.head_object(Bucket=self.bucket, Key=self._name(key))
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return None
                raise
            written: dt.datetime = head["LastModified"]
            return written

    def delete(self, prefix: str) -> None:
        with self._explained():
            self._s3.delete_object(Bucket=self.bucket, Key=self._name(prefix))
            for page in self._pages(Prefix=self._folder(prefix)):
                objects = [{"Key": item["Key"]} for item in page.get("Contents", ())]
                if objects:
                    self._s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})

    def uri(self, key: str = "", scheme: Scheme = "s3a") -> str:
        if scheme == "path":
            raise ValueError(f"{self.url} is not a folder")
        name = self._name(key) if key else self.prefix
        return f"{scheme}://{self.bucket}/{name}".rstrip("/")

    def storage_options(self) -> dict[str, str]:
        options = {"AWS_REGION": self.region, "AWS_CONDITIONAL_PUT": "etag"}
        if self.endpoint:
            options["AWS_ENDPOINT_URL"] = self.endpoint
            if self.endpoint.startswith("http://"):
                options["AWS_ALLOW_HTTP"] = "true"
        keys = self.credentials()
        if keys is not None:
            options["AWS_ACCESS_KEY_ID"], options["AWS_SECRET_ACCESS_KEY"] = keys[:2]
            if keys[2]:
                options["AWS_SESSION_TOKEN"] = keys[2]
        return options

    def credentials(self) -> tuple[str, str, str | None] | None:
        """Return access key, secret key and session token as boto3 finds them now; None for anonymous access."""
        with self._explained():
            found = self._session.get_credentials()
            if found is None:
                return None
            keys = found.get_frozen_credentials()
            return keys.access_key, keys.secret_key, keys.token

    def upload(self, path: Path, key: str) -> None:
        with self._explained():
            self._s3.upload_file(str(path), self.bucket, self._name(key))

    def local(self, key: str) -> Path:
        """Fetch into a cache whose names hold the object's ETag, so a changed object is fetched anew."""
        with self._explained():
            try:
                head = self._s3.head_object(Bucket=self.bucket, Key=self._name(key))
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    raise FileNotFoundError(self.uri(key)) from error
                raise
            digest = hashlib.sha256(f"{self.uri(key)} {head['ETag']}".encode()).hexdigest()[:32]
            path = cache_folder() / "objects" / digest / Path(key).name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                staged = path.with_name(f".{path.name}.{os.getpid()}")
                self._s3.download_file(self.bucket, self._name(key), str(staged))
                staged.replace(path)
            return path


def cache_folder() -> Path:
    """Return the folder for what can be fetched or computed again: `$XDG_CACHE_HOME/sanyu`, else `~/.cache/sanyu`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sanyu"


def _until_settled(attempt: Callable[[], bool | None]) -> bool:
    """Repeat while the answer is None (a competing write is in progress), at most about two seconds; then count it as lost."""
    for turn in range(_CONFLICT_TRIES):
        outcome = attempt()
        if outcome is not None:
            return outcome
        time.sleep(0.05 * 2**turn)
    return False
