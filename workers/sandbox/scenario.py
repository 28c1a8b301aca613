"""Scenarios: requests to the control port at their times, from a file. docs/sandbox.md has the format."""

import tomllib
from collections.abc import Callable
from typing import Annotated, Any

import gevent
import msgspec

from gateway.errors import WakegateError
from gateway.telemetry import get_logger
from workers.sandbox.clock import Clock
from workers.sandbox.http import HttpRequest, HttpResponse

log = get_logger(__name__)

STEPS_LIMIT = 10_000


class BadScenario(WakegateError):
    """A scenario that cannot be read or does nothing; the text says where."""

    metric = "sandbox_bad_scenario"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """At `at_s` seconds of the sandbox's time after the start, the request `do` ("POST /control/...") with `body`."""

    at_s: Annotated[float, msgspec.Meta(ge=0, le=86400 * 365)] = 0.0
    do: Annotated[str, msgspec.Meta(pattern=r"^(GET|POST|DELETE) /[!-~]*$")]
    body: dict[str, Any] | None = None
    note: str = ""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Steps in the order of their times, `repeat` times over.

    A round lasts until its last step, or `round_s` if that is longer.
    """

    name: str = ""
    description: str = ""
    seed: int | None = None
    repeat: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    round_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    steps: Annotated[list[Step], msgspec.Meta(min_length=1, max_length=STEPS_LIMIT)]


def read_scenario(text: bytes) -> Scenario:
    """A scenario from JSON (it begins with a brace) or TOML. Raises BadScenario with the place that is wrong."""
    try:
        if text.lstrip()[:1] == b"{":
            return msgspec.json.decode(text, type=Scenario)
        return msgspec.convert(tomllib.loads(text.decode()), Scenario)
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadScenario(f"the scenario cannot be read: {error}") from error


class Director:
    """Plays one scenario at a time in a greenlet of its own. `control` carries out a request to the control port."""

    def __init__(self, clock: Clock, control: Callable[[HttpRequest], HttpResponse]) -> None:
        self._clock = clock
        self._control = control
        self._scenario: Scenario | None = None
        self._greenlet: gevent.Greenlet | None = None
        self._done = 0
        self._faults: list[str] = []

    def play(self, scenario: Scenario) -> None:
        """Begin with the first step; a scenario that still plays is stopped."""
        self.stop()
        self._scenario, self._done, self._faults = scenario, 0, []
        self._greenlet = gevent.spawn(self._play, scenario)

    def stop(self) -> bool:
        """Leave the rest of the steps out; what was done stays done. False if none was playing."""
        is_playing = self.is_playing
        if self._greenlet is not None:
            self._greenlet.kill()
        self._greenlet = None
        return is_playing

    def join(self, timeout_s: float) -> bool:
        """Wait for the last step; False if it has not been reached within `timeout_s` seconds."""
        if self._greenlet is not None:
            self._greenlet.join(timeout_s)
        return not self.is_playing

    @property
    def is_playing(self) -> bool:
        """Whether steps are still to come."""
        return self._greenlet is not None and not self._greenlet.dead

    def status(self) -> dict[str, Any]:
        """What plays and how far it has come, as JSON values."""
        scenario = self._scenario
        return {
            "name": scenario.name if scenario else "",
            "description": scenario.description if scenario else "",
            "playing": self.is_playing,
            "steps": len(scenario.steps) * scenario.repeat if scenario else 0,
            "done": self._done,
            "refused": list(self._faults),
        }

    def _play(self, scenario: Scenario) -> None:
        if scenario.seed is not None:
            self._carry_out(Step(do="POST /control/seed", body={"seed": scenario.seed}))
        steps = sorted(scenario.steps, key=lambda step: step.at_s)
        length_s = max(scenario.round_s, steps[-1].at_s)
        began = self._clock.now()
        for number in range(scenario.repeat):
            for step in steps:
                self._clock.sleep_until(began + number * length_s + step.at_s)
                self._carry_out(step)
                self._done += 1

    def _carry_out(self, step: Step) -> None:
        method, _, target = step.do.partition(" ")
        path, _, query = target.partition("?")
        pairs = dict(part.partition("=")[::2] for part in query.split("&") if part)
        body = b"" if step.body is None else msgspec.json.encode(step.body)
        response = self._control(HttpRequest(method, path, pairs, {}, body, connection=0))
        if response.status != 200:
            # The rest is played nevertheless; the status shows it, and so does the log.
            self._faults.append(f"{step.do}: {response.body.decode('utf-8', 'replace').strip()}")
            log.warning("scenario_step_refused", step=step.do, status=response.status)
        else:
            log.info("scenario_step", step=step.do, note=step.note)
