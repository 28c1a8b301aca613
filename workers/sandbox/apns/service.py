"""One APNs environment: judges requests and says how each is to be answered. It knows no sockets and no frames."""

import json
import uuid
from dataclasses import dataclass, field

from workers.sandbox.apns.broadcast import Broadcast, bundle_id_of, is_about_channels
from workers.sandbox.apns.credential import Credential
from workers.sandbox.apns.reasons import STATUS_OF, reason_by_prefix
from workers.sandbox.apns.request import (
    ApnsRefusal,
    ApnsRequest,
    Delivery,
    as_push,
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
    topic: str = ""
    broadcast: Broadcast | None = None
    fault: Fault = field(default=NO_FAULT)

    def body(self) -> bytes:
        """The JSON that goes with everything but 200."""
        if self.fault.body is not None:
            return self.fault.body.encode()
        if self.broadcast is not None:
            return self.broadcast.body
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
            if is_about_channels(request):
                sender = credential.authenticate(request)
                return self._broadcast(request, credential, sender)
            check_line(request)
            sender = credential.authenticate(request)
            topic = credential.topic(request)
            check_headers(request, topic)
            check_payload(request)
            wanted = Delivery(token=request.token, environment=self.environment, topic=topic)
            device = self.state.apns_devices.find(request.token)
            check_device(wanted, device, strict=self._is_strict(request.token))
            self._check_rate(request.token)
        except ApnsRefusal as refusal:
            return ApnsAnswer(
                status=refusal.status,
                reason=refusal.reason,
                timestamp=refusal.timestamp,
                apns_id=request.apns_id,
                sender=sender,
            )
        return self._accept(request, sender, topic)

    def _broadcast(self, request: ApnsRequest, credential: Credential, sender: str) -> ApnsAnswer:
        """A request about channels. Raises ApnsRefusal."""
        if not self.state.behaviour.apns_broadcast:
            raise ApnsRefusal("FeatureNotEnabled")
        if not credential.allows(bundle_id_of(request)):
            raise ApnsRefusal("TopicMismatch")
        broadcast = self.state.channels.judge(request, self.environment)
        return ApnsAnswer(
            status=broadcast.status, reason="", apns_id=request.apns_id, sender=sender, broadcast=broadcast
        )

    def _check_rate(self, token: str) -> None:
        size = self.state.behaviour.apns_device_per_minute
        if size and self.state.rates.take("apns-device", token, size=size, period_s=60.0) > 0:
            raise ApnsRefusal("TooManyRequests")

    def _is_strict(self, token: str) -> bool:
        # A token that chooses its answer by its prefix is a device by definition.
        return self.state.behaviour.apns_strict_devices and not reason_by_prefix(token)

    def _accept(self, request: ApnsRequest, sender: str, topic: str) -> ApnsAnswer:
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
            topic=topic,
            fault=fault,
        )

    def headers(self, answer: ApnsAnswer) -> list[tuple[str, str]]:
        """The answer's header block."""
        named = "apns-id" if answer.broadcast is None else "apns-request-id"
        headers = [(":status", str(answer.status)), (named, answer.apns_id)]
        if self.environment == "sandbox":
            headers.append(("apns-unique-id", str(uuid.uuid4())))
        if answer.broadcast is not None:
            headers += answer.broadcast.headers
        elif answer.status != 200:
            headers.append(("content-type", "application/json"))
        if answer.fault.retry_after_s is not None:
            headers.append(("retry-after", str(int(answer.fault.retry_after_s))))
        return headers

    def record(self, request: ApnsRequest, answer: ApnsAnswer, *, status: int, connection: int, stream: int) -> None:
        """Note the request and what became of it; `status` 0 if it was not answered. The provider token stays out.

        A push that was accepted goes on to its device. Management of channels is no push and not noted.
        """
        if answer.broadcast is not None and not answer.broadcast.channel_id:
            return
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        is_accepted = status == 200 or (not status and answer.fault.accepted)
        received = self.state.record.add(
            received_at=self.state.clock.now_ms(),
            provider="apns",
            environment=self.environment,
            token=answer.broadcast.channel_id if answer.broadcast else request.token,
            headers=headers,
            payload=request.payload(),
            status=status,
            reason=answer.reason if status else answer.fault.action,
            push_id=answer.apns_id,
            sender=answer.sender,
            connection=connection,
            stream=stream,
            accepted=is_accepted,
        )
        if is_accepted and answer.broadcast is None:
            push = as_push(request, answer.topic, received, now=self.state.clock.now())
            self.state.apns_storage.accept(push)
