"""A real HDFS on loopback: Hadoop's namenode and one datanode in one Java process."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import orjson

from segdata.building.directory import NOTES_NAME
from segdata.storage.paths import StorePath, locate

# JAXB, by which WebHDFS answers, defines classes at run time: Java 17 must let it.
JAVA = ("java", "-Xmx256m", "--add-opens=java.base/java.lang=ALL-UNNAMED")
MAIN = "org.apache.hadoop.test.MiniDFSClusterManager"


class HdfsServer:
    """HDFS with WebHDFS, empty.

    Attributes:
      host: Its namenode's web address, which WebHDFS is at.
      rpc_port: Where its namenode speaks to Java programs.
      user: Who may do everything there.
    """

    def __init__(self, jars: Path, folder: Path) -> None:
        details = folder / "details.json"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        self.user = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
        command = [*JAVA, f"-Dtest.build.data={folder}", "-cp", f"{jars}/*", MAIN]
        command += ["-datanodes", "1", "-format", "-nnport", "0"]
        command += ["-httpport", str(port), "-writeDetails", str(details)]
        log = folder / "log.txt"
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file)
        deadline = time.monotonic() + 120
        while not (details.exists() and details.stat().st_size):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"HDFS did not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        self.rpc_port: int = orjson.loads(details.read_bytes())["namenode_port"]

    def path(self, name: str) -> StorePath:
        found = locate(self.address(name))
        assert isinstance(found, StorePath)
        return found

    def address(self, name: str) -> str:
        return f"hdfs://{self.host}/{name}"

    def upload(self, folder: Path, name: str) -> str:
        """Puts a folder there; returns its address."""
        for path in folder.rglob("*"):
            if path.is_file():
                below = path.relative_to(folder).as_posix()
                (self.path(name) / below).write_bytes(path.read_bytes())
        return self.address(name)

    def names(self, name: str) -> list[str]:
        """The files below a folder, sorted."""
        return sorted(self._found(self.path(name), ""))

    def hashes(self, name: str) -> dict[str, str]:
        """As the fixture `file_hashes`."""
        return {
            below: hashlib.sha256((self.path(name) / below).read_bytes()).hexdigest()
            for below in self.names(name)
            if below.rpartition("/")[2] != NOTES_NAME
        }

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _found(self, folder: StorePath, inner: str) -> Any:
        for entry in folder.entries():
            if entry.is_dir:
                yield from self._found(folder / entry.name, f"{inner}{entry.name}/")
            else:
                yield inner + entry.name
