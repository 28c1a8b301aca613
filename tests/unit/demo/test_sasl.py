"""Which mechanism the client chooses."""

import pytest

from gateway.demo.sasl import NoMechanism, start_sasl

ALL = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"]


def test_the_best_mechanism_that_both_know_is_chosen() -> None:
    assert "SCRAM-SHA-256" == start_sasl(ALL, "romeo", "secret").mechanism
    assert "SCRAM-SHA-256-PLUS" == start_sasl(ALL, "romeo", "secret", binding=("tls-server-end-point", b"x")).mechanism
    assert "SCRAM-SHA-1" == start_sasl(["PLAIN", "SCRAM-SHA-1"], "romeo", "secret").mechanism
    assert "PLAIN" == start_sasl(["EXTERNAL", "PLAIN"], "romeo", "secret").mechanism


def test_without_a_common_mechanism_it_says_what_was_offered() -> None:
    with pytest.raises(NoMechanism, match="EXTERNAL"):
        start_sasl(["EXTERNAL"], "romeo", "secret")
