"""One APNs environment: judges requests and says how each is to be answered. It knows no sockets and no frames."""

import json
import uuid
from dataclasses import dataclass, field

from workers.sandbox.apns.credential import Credential
from workers.sandbox.apns.reasons import STATUS_OF, reason_by_prefix
from workers.sandbox.apns.request import (
    ApnsRefusal,
    ApnsRequest,
    Delivery,
    check_device,
    check_headers,
    check_line,
    check_payload,
)
from workers.sandbox.faults import Fault
from workers.sandbox.state import State

ENVIRONMENTS = ("production", "sandbox")
NO_FAULT = Fault()


@dataclass(frozen=True, kw_only=True)
class ApnsAnswer:
    """How a request is to be answered: by status and reason, by what `fault` says of the form, or not at all."""

    status: int
    reason: str
    apns_id: str
    sender: str
    timestamp: int | None = None
    fault: Fault = field(default=NO_FAULT)

    def body(self) -> bytes:
        """The JSON that goes with everything but 200."""
        if self.fault.body is not None:
            return self.fault.body.encode()
        if self.status == 200:
            return b""
        content: dict[str, str | int] = {"reason": self.reason}
        if self.timestamp is not None:
            content["timestamp"] = self.timestamp
        return json.dumps(content, separators=(",", ":")).encode()


class ApnsService:
    """APNs' production or development ("sandbox") environment."""

    def __init__(self, state: State, environment: str) -> None:
        self.state = state
        self.environment = environment

    def judge(self, request: ApnsRequest, credential: Credential) -> ApnsAnswer:
        """Check a request as APNs does; a request that is right in everything meets the fault armed for it, if any."""
        sender = ""
        try:
            check_line(request)
            sender = credential.authenticate(request)
            topic = credential.topic(request)
            check_headers(request, topic)
            check_payload(request)
            wanted = Delivery(token=request.token, environment=self.environment, topic=topic)
            device = self.state.apns_devices.find(request.token)
            check_device(wanted, device, strict=self._is_strict(request.token))
        except ApnsRefusal as refusal:
            return ApnsAnswer(
                status=refusal.status,
                reason=refusal.reason,
                timestamp=refusal.timestamp,
                apns_id=request.apns_id,
                sender=sender,
            )
        return self._accept(request, sender)

    def _is_strict(self, token: str) -> bool:
        # A token that chooses its answer by its prefix is a device by definition.
        return self.state.behaviour.apns_strict_devices and not reason_by_prefix(token)

    def _accept(self, request: ApnsRequest, sender: str) -> ApnsAnswer:
        fault = self.state.faults.take("apns", request.token) or Fault(reason=reason_by_prefix(request.token))
        status = fault.status or STATUS_OF.get(fault.reason, 400 if fault.reason else 200)
        timestamp = fault.timestamp
        if timestamp is None and status == 410:
            timestamp = self.state.clock.now_ms()
        return ApnsAnswer(
            status=status,
            reason=fault.reason,
            timestamp=timestamp,
            apns_id=request.apns_id,
            sender=sender,
            fault=fault,
        )

    def headers(self, answer: ApnsAnswer) -> list[tuple[str, str]]:
        """The answer's header block."""
        headers = [(":status", str(answer.status)), ("apns-id", answer.apns_id)]
        if self.environment == "sandbox":
            headers.append(("apns-unique-id", str(uuid.uuid4())))
        if answer.status != 200:
            headers.append(("content-type", "application/json"))
        if answer.fault.retry_after_s is not None:
            headers.append(("retry-after", str(int(answer.fault.retry_after_s))))
        return headers

    def record(self, request: ApnsRequest, answer: ApnsAnswer, *, status: int, connection: int, stream: int) -> None:
        """Note the request and what became of it; `status` 0 if it was not answered. The provider token stays out."""
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        self.state.record.add(
            received_at=self.state.clock.now_ms(),
            provider="apns",
            environment=self.environment,
            token=request.token,
            headers=headers,
            payload=request.payload(),
            status=status,
            reason=answer.reason if status else answer.fault.action,
            push_id=answer.apns_id,
            sender=answer.sender,
            connection=connection,
            stream=stream,
        )
