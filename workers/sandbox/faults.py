"""What a test or a curious developer tells the sandbox to do wrong, and when."""

import random
from typing import Annotated, Literal

import msgspec

from gateway.errors import WakegateError

Provider = Literal["apns", "fcm", "webpush", "oauth"]
Action = Literal["answer", "goaway", "reset", "close", "ignore"]


class BadFault(WakegateError):
    """A fault that cannot be armed: an unknown field, action or reason, or a value out of bounds."""

    metric = "sandbox_bad_fault"


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One armed misbehaviour. The fields are the JSON of the control API; docs/sandbox.md explains them.

    A fault is met only by a request that would have been accepted: a wrong request still gets the answer it deserves.
    """

    action: Action = "answer"
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    status: Annotated[int, msgspec.Meta(ge=0, le=599)] = 0
    timestamp: Annotated[int, msgspec.Meta(ge=0)] | None = None
    retry_after_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"
    delay_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0
    slow_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0
    data: Literal["whole", "split", "empty", "none", "truncated"] = "whole"
    body: Annotated[str, msgspec.Meta(max_length=65536)] | None = None
    content_type: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[\x20-\x7e]*$")] = "text/html; charset=UTF-8"
    location: Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[\x21-\x7e]*$")] = ""
    error_code: Annotated[int, msgspec.Meta(ge=0, le=255)] = 7
    last_stream_id: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    graceful: bool = False
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    every: Annotated[int, msgspec.Meta(ge=1)] = 1
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    header_frames: Literal["one", "continuation"] = "one"
    accepted: bool = False
    details: Literal["usual", "mixed"] = "usual"


class Armed:
    """A fault together with how often it was passed and how often it struck."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.passed = 0
        self.struck = 0

    def strikes(self, chance: random.Random) -> bool:
        """Count one request; True when this request meets the fault."""
        self.passed += 1
        if self.is_spent() or self.passed % self.fault.every:
            return False
        if self.fault.probability < 1 and chance.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True

    def is_spent(self) -> bool:
        """Whether it has struck as often as it was armed for."""
        return self.fault.times is not None and self.struck >= self.fault.times


class Faults:
    """The armed faults of both providers: for one token, or for whichever token comes (`token` is "")."""

    def __init__(self, seed: int = 1) -> None:
        self._armed: dict[tuple[Provider, str], Armed] = {}
        self._chance = random.Random(seed)  # noqa: S311 - faults shall be the same at each run

    def seed(self, seed: int) -> None:
        """Let the faults with a probability strike as they did after this seed before."""
        self._chance.seed(seed)

    def arm(self, provider: Provider, fault: Fault, token: str = "") -> None:
        """Arm `fault` for `token`; one that was armed there before is replaced."""
        self._armed[provider, token] = Armed(fault)

    def disarm(self, provider: Provider | None = None, token: str | None = None) -> int:
        """Forget the faults of a provider and token (None: all of them) and return how many there were."""
        gone = [key for key in self._armed if provider in (None, key[0]) and token in (None, key[1])]
        for key in gone:
            del self._armed[key]
        return len(gone)

    def take(self, provider: Provider, token: str) -> Fault | None:
        """The fault that a request for `token` meets now, or None. The token's own comes before the one for all."""
        for key in ((provider, token), (provider, "")):
            armed = self._armed.get(key)
            if armed is None or not armed.strikes(self._chance):
                continue
            if armed.is_spent():
                del self._armed[key]
            return armed.fault
        return None

    def listing(self) -> list[dict[str, object]]:
        """The armed faults as JSON values."""
        return [
            {
                "provider": provider,
                "token": token,
                "passed": armed.passed,
                "struck": armed.struck,
                "fault": msgspec.to_builtins(armed.fault),
            }
            for (provider, token), armed in self._armed.items()
        ]


def read_fault(body: bytes) -> Fault:
    """Decode a fault from JSON. Raises BadFault with a sentence that names the field."""
    try:
        return msgspec.json.decode(body or b"{}", type=Fault)
    except msgspec.MsgspecError as error:
        raise BadFault(str(error)) from error
