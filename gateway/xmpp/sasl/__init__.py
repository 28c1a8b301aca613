"""SASL, sans-IO (RFC 6120 §6): mechanisms, exchanges, and the credentials they are checked against."""

from gateway.xmpp.sasl.credentials import (
    DEFAULT_ITERATIONS,
    Credentials,
    CredentialsCorrupt,
    PasswordRejected,
    ScramKeys,
    decoy,
    derive,
    verify,
)
from gateway.xmpp.sasl.exchange import Challenge, Exchange, NeedCredentials, Step, Success, VerifyPassword
from gateway.xmpp.sasl.mechanisms import (
    MECHANISMS,
    begin,
    decode_initial,
    decode_response,
    encode_challenge,
    encode_success,
    offered,
)
from gateway.xmpp.sasl.scram import ScramServer
from gateway.xmpp.sasl.scram_client import ScramClient

__all__ = [
    "DEFAULT_ITERATIONS",
    "MECHANISMS",
    "Challenge",
    "Credentials",
    "CredentialsCorrupt",
    "Exchange",
    "NeedCredentials",
    "PasswordRejected",
    "ScramClient",
    "ScramKeys",
    "ScramServer",
    "Step",
    "Success",
    "VerifyPassword",
    "begin",
    "decode_initial",
    "decode_response",
    "decoy",
    "derive",
    "encode_challenge",
    "encode_success",
    "offered",
    "verify",
]
