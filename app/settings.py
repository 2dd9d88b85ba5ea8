"""Settings of the web service, read from the environment (`ATELIER_…`) here and nowhere else in the app."""

from __future__ import annotations

import ipaddress
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from models.settings import SharedSettings, app_threads

Comma = Annotated[tuple[str, ...], NoDecode]


class AppSettings(SharedSettings):
    """Settings of the web service beyond those that it shares with the workers. Every limit has a safe default."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="0: any free port")] = 8000
    model: Annotated[str | None, Field(description="the default model; else the one published last")] = None

    auth: Annotated[
        Literal["auto", "on", "off"],
        Field(
            description="auto: keys unless the address is a loopback one; on: keys always (behind a proxy); off: none"
        ),
    ] = "auto"
    allowed_hosts: Annotated[Comma, Field(description="further names of this service, comma-separated")] = ()
    origins: Annotated[Comma, Field(description="web origins that may call the API, comma-separated")] = ()

    max_images: Annotated[int, Field(ge=1, le=1_000_000, description="images per request")] = 4096
    max_pixels: Annotated[int, Field(ge=1, description="pixels per picture, after scale")] = 64_000_000
    max_body_bytes: Annotated[int, Field(ge=1, description="size of a request's body")] = 1 << 20
    max_upload_bytes: Annotated[int, Field(ge=1, description="size of one upload")] = 8 << 30
    max_streams: Annotated[int, Field(ge=1, description="event streams open at once")] = 100
    loaded_bytes: Annotated[int, Field(ge=1, description="memory for loaded versions")] = 1 << 30
    max_wait_seconds: Annotated[float, Field(gt=0, description="predicted wait ahead of a request")] = 10.0
    max_flight_bytes: Annotated[int, Field(ge=1, description="memory for pictures in flight")] = 1 << 30
    answer_cache_bytes: Annotated[int, Field(ge=0, description="memory of the answer cache; 0 turns it off")] = 64 << 20
    stall_seconds: Annotated[float, Field(gt=0, description="patience with a client that takes nothing")] = 60.0

    @field_validator("allowed_hosts", "origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _bare_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if "/" in name or "*" in name:
                raise ValueError(f'"{name}" is no host name: give names without scheme, path or wildcard')
        return tuple(name.lower() for name in names)

    @field_validator("origins")
    @classmethod
    def _whole_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, rest = origin.partition("://")
            if scheme not in ("http", "https") or not rest or "/" in rest or "*" in rest:
                raise ValueError(
                    f'"{origin}" is not an origin: expected scheme://host[:port], such as https://example.org'
                )
        return tuple(origin.lower() for origin in origins)

    @cached_property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @cached_property
    def keys_required(self) -> bool:
        """Whether requests need a key."""
        return self.auth == "on" or (self.auth == "auto" and not self.loopback)

    @cached_property
    def engine_threads(self) -> int:
        """Threads for forward passes: as set, else the app's share of the cores."""
        return self.threads or app_threads()


def is_loopback(host: str) -> bool:
    """Return whether `host`, a name or an address, is always this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_address(host: str, port: int) -> str:
    """Return the local URL of a service that listens on `host`; wildcard addresses become loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
