"""The settings of each part, with what they mean, their limits and their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from models.runtimes.kinds import Precision, RuntimeKind
from service.cores import usable_cores

MIB = 1024 * 1024
MIN_TOKEN_KEY = 16


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Section):
    """Where the server listens and how it logs."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least important line logged"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto`: for people on a terminal, else one JSON object per line"
    )


class ModelSettings(_Section):
    """Which models are loaded, and what runs them."""

    default: str = Field(
        default="siamfcpp_light", description="Model of a session that names none: a package's name or folder"
    )
    also: list[str] = Field(default=[], description="Further models to load, by name or folder")
    folders: list[Path] = Field(
        default=[], description="Folders with packages, looked into before those that ship with Lockon"
    )
    runtime: Literal["auto"] | RuntimeKind = Field(
        default="auto",
        description="What runs the graphs. `auto`: ONNX Runtime, or OpenVINO where it is installed and measured to be "
        "faster on this machine",
    )
    device: str = Field(
        default="cpu", pattern=r"^(cpu|cuda(:\d{1,2})?)$", description="Where they run: `cpu`, `cuda` or `cuda:1`"
    )
    precision: Literal["auto"] | Precision = Field(
        default="auto",
        description="Numbers they compute in: `bf16` for OpenVINO, where the processor has it; `f16` for TorchScript. "
        "`auto`: `bf16` for models that follow as well in it, where there is OpenVINO, else `f32`",
    )
    threads: int = Field(
        default=1, ge=1, le=64, description="Threads of one run of a graph; the workers fill the cores already"
    )
    admin: bool = Field(
        default=False,
        description="Let models be loaded and retired over the API: by keys with the scope `admin`, or by everybody "
        "where there are no keys",
    )

    @property
    def sources(self) -> list[str]:
        """Names or folders of all models to load, the default first."""
        return list(dict.fromkeys([self.default, *self.also]))


class LimitSettings(_Section):
    """What one client may ask for."""

    # What is told to clients as JSON, and reckoned with, is finite.
    model_config = ConfigDict(allow_inf_nan=False)

    max_frame_bytes: int = Field(
        default=4 * MIB, ge=1024, description="Largest message on a socket; a larger one closes it (1009)"
    )
    max_pixels: int = Field(default=8_300_000, ge=256, description="Largest image, width times height")
    max_targets: int = Field(default=8, ge=1, le=64, description="Targets of a session")
    max_sessions: int = Field(default=64, ge=1, description="Sessions at once; further ones get 503 no-capacity")
    min_fps: float = Field(
        default=5.0,
        ge=0,
        description="Frames a second that each session is promised: further sessions get 503 no-capacity where the "
        "measured cost of a frame leaves no room for that; 0 switches this off",
    )
    must_queue: int = Field(default=8, ge=1, le=64, description="Must-process frames of a session that may wait")
    must_queue_bytes: int = Field(default=16 * MIB, ge=1024, description="Bytes of those frames")
    ring_frames: int = Field(
        default=16, ge=1, le=64, description="Recent frames kept so that a box can be given for one of them"
    )
    ring_bytes: int = Field(default=8 * MIB, ge=0, description="Bytes of those frames")
    outbound_queue: int = Field(default=64, ge=8, description="Messages that may wait to be read by a client")
    send_timeout_s: float = Field(
        default=5.0, gt=0, description="A client that takes no message for so long is cut off (4408)"
    )
    hello_timeout_s: float = Field(default=5.0, gt=0, description="Time for the first message of a socket")
    body_timeout_s: float = Field(
        default=10.0,
        gt=0,
        description="Time for the head, and again for the body, of a request; 408 for one that takes longer",
    )
    idle_timeout_s: float = Field(
        default=60.0, gt=0, description="Time without a frame after which a socket is closed (4408)"
    )
    detached_ttl_s: int = Field(default=120, ge=0, le=3600, description="How long a session without a socket is kept")
    drain_s: float = Field(
        default=20.0,
        ge=0,
        le=3600,
        description="After SIGTERM, how long clients may take to leave before their sockets are closed",
    )


class AuthSettings(_Section):
    """Who may use the server. Without keys and tokens everybody may, and then it listens on loopback alone."""

    keys: Path | None = Field(
        default=None, description="File of API keys, made by `lockon keys`; naming one makes credentials necessary"
    )
    pepper: SecretStr = Field(
        default=SecretStr(""), description="Secret that goes into the hashes of the keys; set it before the first key"
    )
    jwks: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Address of a token issuer's public keys; naming one lets its JWTs in, and makes credentials "
        "necessary. https, or http on loopback",
    )
    issuer: str | None = Field(default=None, description="`iss` that tokens must have")
    audience: str | None = Field(default=None, description="`aud` that tokens must have")
    algorithms: list[Literal["EdDSA", "ES256", "RS256"]] = Field(
        default=["EdDSA", "ES256", "RS256"], min_length=1, description="Signatures that tokens may have"
    )
    allow_anonymous: bool = Field(
        default=False,
        description="Serve everybody without credentials on an address that others reach, too: only where something "
        "else decides who gets to the port",
    )

    @property
    def required(self) -> bool:
        """Whether callers need credentials."""
        return self.keys is not None or self.jwks is not None


class QuotaSettings(_Section):
    """What one key, or one tenant of a token, may use. Without credentials there are no quotas."""

    sessions: int = Field(default=8, ge=1, description="Sessions at once; further ones get 429 rate-limited")
    frames_per_s: float = Field(
        default=480.0,
        gt=0,
        description="Frames of all its sessions; those beyond are dropped, at four times as many "
        "the socket is closed (4429)",
    )
    bytes_per_s: float = Field(default=40e6, gt=0, description="Bytes of those frames; likewise, with 4413")


class StoreSettings(_Section):
    """Where sessions are saved, so that they outlive the server. Without a store they live in its memory alone."""

    # The store takes times as whole numbers.
    model_config = ConfigDict(allow_inf_nan=False)

    url: SecretStr | None = Field(
        default=None, description="Redis or Valkey that all servers share, e.g. redis://host:6379/0; rediss:// for TLS"
    )
    token_keys: list[SecretStr] = Field(
        default=[],
        description="Secrets that sign resume tokens and encrypt what is saved: the first is used, all are accepted. "
        "The same on all servers of a store; without one, each server makes its own",
    )
    lease_s: float = Field(
        default=3.0, ge=0.5, description="A server that is not heard of for so long loses its sessions to others"
    )
    timeout_s: float = Field(
        default=0.15, gt=0, le=5, description="The store counts as away when it takes longer than that to answer"
    )

    @model_validator(mode="after")
    def _keys_are_shared(self) -> Self:
        if any(len(key.get_secret_value()) < MIN_TOKEN_KEY for key in self.token_keys):
            raise ValueError(f"each of store.token_keys has {MIN_TOKEN_KEY} characters or more")
        if self.url is not None and not self.token_keys:
            raise ValueError("store.url needs store.token_keys: other servers must accept what this one has signed")
        return self


class FleetSettings(_Section):
    """This server as one of several that share a store."""

    address: str = Field(
        default="",
        pattern=r"^(wss?://[^/\s]+)?(/[A-Za-z0-9._~-]+)*$",
        description="Where clients reach this server and no other: a path that the edge leads here, e.g. /n/lockon-1, "
        "or an address, e.g. wss://lockon-1.example. With it other servers send clients here when they have no room",
    )


class EngineSettings(_Section):
    """How frames are worked off."""

    workers: int = Field(
        default_factory=usable_cores,
        ge=1,
        le=256,
        description="Threads that decode and track; by default one for each core that the process, or its container, "
        "may use. The sockets take a few percent of one",
        json_schema_extra={"shown": "cores"},
    )
    max_batch: int = Field(
        default=64,
        ge=1,
        le=64,
        description="Most targets in one run of the graph. How many it is depends on what larger batches are measured "
        "to save when a model is loaded: on a processor it is one as a rule",
    )
    cadence_under_load: int = Field(
        default=4,
        ge=1,
        le=8,
        description="While frames are lost for want of time, the network looks at one of so many at least, and calm "
        "targets are carried between; not where a session has a `cadence` of its own, nor for must-process frames. "
        "1 switches this off",
    )


class WebSettings(_Section):
    """The page, and who may open sockets from a browser."""

    page: bool = Field(default=True, description="Serve the page at / and lockon.js")
    allowed_origins: list[str] = Field(
        default=[],
        description="Origins of other sites whose pages may open sockets, e.g. https://app.example. "
        "Pages from loopback and from this server's own host may always",
    )
    allowed_hosts: list[str] = Field(
        default=[],
        description="Names that this server goes by (`Host`), e.g. lockon.example; others get 421. By default any, but "
        "on a loopback address only loopback's own names: a proxy in front of it has to be named here",
    )


class MetricsSettings(_Section):
    """Prometheus metrics."""

    enabled: bool = Field(
        default=True, description="Serve /metrics on the same port; switch it off where that port is public"
    )


class TelemetrySettings(_Section):
    """Traces, for a collector that speaks OpenTelemetry's protocol."""

    otlp_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Address of a collector, e.g. http://127.0.0.1:4318, that traces are sent to over OTLP/HTTP. Needs "
        "the extra `otel`",
    )
    trace_sample: float = Field(default=0.001, ge=0, le=1, description="Share of the frames that are traced")
    trace_slow_ms: float = Field(
        default=250.0, ge=0, description="Frames whose answer is that old are traced as well, at most 10 in a second"
    )
