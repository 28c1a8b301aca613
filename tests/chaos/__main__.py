"""`scripts/chaos`: rounds of killing, and a table of what became of every message; status 1 if one was lost."""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402 - what is imported before the patch would stay unpatched
import random  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import nullcontext  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402

from tests.support.crowd import Crowd, Tally, a_crowd  # noqa: E402
from tests.support.processes import Server, running  # noqa: E402

VICTIMS = ("gateway", "push", "sweeper", "web", "redis", "links")
COLUMNS = ("sent", "accepted", "received", "lost", "doubled", "disordered", "resumed", "refused", "unfinished")


def main() -> int:
    """Runs the rounds; answers the exit status."""
    options = read_options()
    rng = random.Random(options.seed)
    total, faults, started = Tally(), 0, time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="wakegate-chaos-")
        if not options.directory
        else nullcontext(options.directory) as directory
    ):
        arguments = ("up", "--gateways", str(options.gateways))
        with running(Path(directory), arguments=arguments) as server, a_crowd(server, options.pairs, rng) as crowd:
            print(f"seed {options.seed}: {2 * options.pairs} sessions, {options.gateways} gateway(s)", flush=True)
            print(" ".join(["round", "killed".ljust(24), *(name.rjust(10) for name in COLUMNS), "seconds".rjust(8)]))
            for number in range(1, options.rounds + 1):
                victims = [rng.choice(options.kill) for _ in range(rng.randint(1, options.kills))]
                began = time.monotonic()
                strike = striker(server, crowd, victims, rng, options.seconds)
                tally = crowd.talk(options.messages, options.seconds, strike)
                print_row(str(number), "+".join(victims), tally, time.monotonic() - began)
                total.add(tally)
                faults += not tally.is_clean
                if tally.refused:
                    print("a session was refused: nothing that follows would mean anything", file=sys.stderr)
                    break
            if faults:
                print(server.log()[-4000:], file=sys.stderr)
    print_row("all", f"{faults} rounds not clean", total, time.monotonic() - started)
    return 1 if faults else 0


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="default 10")
    parser.add_argument("--kill", choices=VICTIMS, nargs="+", default=["gateway"], help="what dies; default gateway")
    parser.add_argument(
        "--kills",
        type=int,
        default=1,
        help="at most so many deaths a round; default 1 (the supervisor starts late what dies within a second)",
    )
    parser.add_argument("--gateways", type=int, default=1, help="gateway processes; default 1")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of clients that talk; default 10")
    parser.add_argument("--messages", type=int, default=100, help="of each client a round; default 100")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long they talk; default 1")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="for the same moments again")
    parser.add_argument("--directory", help="keep the server's files and log there")
    return parser.parse_args()


def striker(server: Server, crowd: Crowd, victims: list[str], rng: random.Random, seconds: float) -> Callable[[], None]:
    """What strikes during a round: each victim at a random moment, most while people talk, some after it."""

    def strike() -> None:
        for moment, victim in sorted((rng.uniform(0, 1.2 * seconds), victim) for victim in victims):
            gevent.sleep(moment / len(victims))
            if victim == "links":
                crowd.cut_some()
            elif victim == "redis":
                for process in server.redis():
                    process.kill()
            else:
                server.kill(victim)

    return strike


def print_row(number: str, what: str, tally: Tally, seconds: float) -> None:
    """One line of the table, and what was wrong."""
    figures = [str(getattr(tally, name)).rjust(10) for name in COLUMNS]
    print(" ".join([number.rjust(5), what[:24].ljust(24), *figures, f"{seconds:8.1f}"]), flush=True)
    for example in tally.examples[:5] if number != "all" else []:
        print(f"      {example}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
