"""Beam's own options for stores, handed to the packages that segdata reaches them with.

So `-- --s3_endpoint_url=...` means to a build what it means to any other pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from segdata.errors import OptionError
from segdata.pipelines.quiet import quiet_import
from segdata.storage import hdfs_address
from segdata.storage.paths import Location
from segdata.storage.store_path import StorePath

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


def with_beam_options(location: Location, beam_args: Sequence[str]) -> Location:
    """The same place, reached as Beam's options say; they travel to workers with it.

    What they do not say is found where the store's own tools look, on each worker: the
    environment, files in the home directory, the role of the machine. But the user of
    HDFS is who starts the build.

    Raises:
      OptionError: If they and an address in HDFS name a server each, or neither does.
    """
    if not location.is_store or not (beam_args or location.is_file_system):
        return location
    # Not earlier: what runs without Beam on local files shall not wait for its import.
    with quiet_import():
        from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(list(beam_args))
    if location.is_file_system:
        return _on_hdfs(location, options)
    read = {"s3": _s3_options, "gs": _gs_options}[location.scheme]
    return location.with_options(read(options))


def _s3_options(options: PipelineOptions) -> dict[str, Any]:
    """Options of `s3fs.S3FileSystem`."""
    from apache_beam.options.pipeline_options import S3Options

    given = options.view_as(S3Options)
    client = {
        "region_name": given.s3_region_name,
        "api_version": given.s3_api_version,
        "verify": _truth(given.s3_verify),
    }
    client = {name: value for name, value in client.items() if value is not None}
    found = {
        "key": given.s3_access_key_id,
        "secret": given.s3_secret_access_key,
        "token": given.s3_session_token,
        "endpoint_url": given.s3_endpoint_url,
        "use_ssl": False if given.s3_disable_ssl else None,
        "client_kwargs": client or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _gs_options(options: PipelineOptions) -> dict[str, Any]:
    """Options of `gcsfs.GCSFileSystem`."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    given = options.view_as(GoogleCloudOptions)
    return {"token": "anon"} if given.no_auth else {}


def _on_hdfs(location: StorePath, options: PipelineOptions) -> StorePath:
    """The same place with its server in the address.

    With `--hdfs_host`, addresses are Beam's: `hdfs://a/b` is `/a/b` on that server, and
    with `--hdfs_full_urls` the first part names a server that is not looked at.
    """
    from apache_beam.options.pipeline_options import HadoopFileSystemOptions

    given = options.view_as(HadoopFileSystemOptions)
    first, *below = location.parts
    server = "" if first == "/" else first
    port = f":{given.hdfs_port}" if given.hdfs_port else ""
    if not given.hdfs_host:
        server += "" if not server or _has_port(server) else port
    elif _has_port(server) and not given.hdfs_full_urls:
        raise OptionError(
            f"{location} names a server, and so does --hdfs_host={given.hdfs_host}: "
            "leave one out, or pass --hdfs_full_urls too, and the option counts."
        )
    else:
        below = [server, *below] if server and not given.hdfs_full_urls else below
        server = f"{given.hdfs_host}{port}"
    hdfs_address.server_options(server)  # refuses what is none, before all else
    user = {"user": given.hdfs_user} if given.hdfs_user else hdfs_address.user_options()
    return StorePath(location.scheme, PurePosixPath(server, *below), user)


def _has_port(server: str) -> bool:
    return ":" in server.rpartition("]")[2]


def _truth(value: str | None) -> bool | str | None:
    """`False` and `true` as such; anything else is the path of a bundle of CAs."""
    return {"false": False, "true": True}.get(str(value).lower(), value)
