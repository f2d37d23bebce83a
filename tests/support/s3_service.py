"""An S3-compatible service on this machine, for tests."""

import logging

import boto3
from moto.server import ThreadedMotoServer

from tests.support.processes import free_port

NAME = "films-of-a-test"
ACCESS_KEY, SECRET_KEY, REGION = "nobody", "nothing", "eu-central-1"


class Service:
    """A service with one bucket. What it holds outlives `stop`, as in a service that is started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.server: ThreadedMotoServer | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a site that keeps its files there."""
        return {
            "STORAGE_S3_BUCKET": NAME,
            "STORAGE_S3_ENDPOINT": self.address,
            "STORAGE_S3_REGION": REGION,
            "STORAGE_S3_ACCESS_KEY": ACCESS_KEY,
            "STORAGE_S3_SECRET_KEY": SECRET_KEY,
        }

    def start(self) -> None:
        if self.server is None:
            self.server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
            self.server.start()
            logging.getLogger("werkzeug").setLevel(logging.ERROR)

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def make_bucket(self) -> None:
        client = boto3.client(
            "s3", endpoint_url=self.address, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
        )  # fmt: skip
        client.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": REGION})
