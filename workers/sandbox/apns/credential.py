"""Who may push: provider tokens (ES256) against registered keys, or the topics of a client certificate.

"Establishing a token-based connection to APNs" gives the rules for the token's age; the reasons are Apple's.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workers.sandbox.apns.request import ApnsRefusal, ApnsRequest
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.clock import Clock
from workers.sandbox.jose import BadToken, Jws, is_signed_es256, numeric_date, read_jws
from workers.sandbox.material import OID_DEVELOPMENT, OID_PRODUCTION

TOKEN_LIFETIME_S = 3600
UPDATE_INTERVAL_S = 1200
CLOCK_SKEW_S = 300
TOKENS_REMEMBERED = 1000


@dataclass(frozen=True, kw_only=True)
class ProviderKey:
    """A registered ES256 key. `environment` "" and no `topics` mean any."""

    team_id: str
    key_id: str
    key: ec.EllipticCurvePublicKey
    environment: str = ""
    topics: Set[str] = frozenset()


@dataclass(frozen=True)
class ProviderToken:
    """A provider token whose signature was right."""

    text: str
    key: ProviderKey
    issued_at: int


class ProviderKeys:
    """The registered keys, and the verified tokens: a token is sent with each push, its signature is checked once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[str, ProviderKey] = {}
        self._verified: dict[str, ProviderToken] = {}
        self._newest: dict[tuple[str, str], ProviderToken] = {}
        self.tokens_seen = 0

    def register(self, key: ProviderKey) -> None:
        """Accept tokens signed with this key from now on; a key with the same id is replaced."""
        self._keys[key.key_id] = key
        self._verified.clear()

    def revoke(self, key_id: str) -> bool:
        """Refuse this key's tokens from now on; False if there is no such key."""
        self._verified.clear()
        return self._keys.pop(key_id, None) is not None

    def verify(self, text: str) -> ProviderToken:
        """The token behind an authorization header. Raises ApnsRefusal (InvalidProviderToken, ExpiredProviderToken)."""
        token = self._verified.get(text) or self._verify_signature(text)
        age_s = self._clock.now() - token.issued_at
        if age_s > TOKEN_LIFETIME_S:
            raise ApnsRefusal("ExpiredProviderToken")
        if age_s < -CLOCK_SKEW_S:
            raise ApnsRefusal("InvalidProviderToken")
        return token

    def check_update(self, token: ProviderToken) -> None:
        """Refuse a token made less than 20 minutes after the newest of its key, on whatever connection that came.

        One that is older may still be on its way from another worker. Raises ApnsRefusal.
        """
        key = (token.key.team_id, token.key.key_id)
        newest = self._newest.setdefault(key, token)
        if token.text == newest.text or token.issued_at < newest.issued_at:
            return
        if token.issued_at - newest.issued_at < UPDATE_INTERVAL_S:
            raise ApnsRefusal("TooManyProviderTokenUpdates")
        self._newest[key] = token

    def _verify_signature(self, text: str) -> ProviderToken:
        try:
            jws = read_jws(text)
        except BadToken as error:
            raise ApnsRefusal("InvalidProviderToken") from error
        key = self._keys.get(str(jws.header.get("kid", "")))
        issued_at = numeric_date(jws.claims, "iat")
        if key is None or issued_at is None or not _is_by(jws, key):
            raise ApnsRefusal("InvalidProviderToken")
        if len(self._verified) >= TOKENS_REMEMBERED:
            self._verified.clear()
        self.tokens_seen += 1
        token = ProviderToken(text, key, issued_at)
        self._verified[text] = token
        return token


def _is_by(jws: Jws, key: ProviderKey) -> bool:
    return jws.claims.get("iss") == key.team_id and is_signed_es256(jws, key.key)


class TokenCredential:
    """One connection that authenticates by provider tokens. It belongs to the team and key of its first push."""

    def __init__(self, keys: ProviderKeys, environment: str, behaviour: Callable[[], Behaviour]) -> None:
        self._keys = keys
        self._environment = environment
        self._behaviour = behaviour
        self._current: ProviderToken | None = None

    def authenticate(self, request: ApnsRequest) -> str:
        """The "team/key id" that sends. Raises ApnsRefusal."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise ApnsRefusal("MissingProviderToken")
        token = self._keys.verify(text.strip())
        if token.key.environment not in ("", self._environment):
            raise ApnsRefusal("BadEnvironmentKeyIdInToken")
        self._check_change(token)
        if self._behaviour().apns_token_updates_across_connections:
            self._keys.check_update(token)
        self._current = token
        return f"{token.key.team_id}/{token.key.key_id}"

    def _check_change(self, token: ProviderToken) -> None:
        current = self._current
        if current is None or current.text == token.text:
            return
        if token.key.team_id != current.key.team_id:
            raise ApnsRefusal("InvalidProviderToken")
        if token.key.key_id != current.key.key_id:
            raise ApnsRefusal("UnrelatedKeyIdInToken")
        if token.issued_at - current.issued_at < UPDATE_INTERVAL_S:
            raise ApnsRefusal("TooManyProviderTokenUpdates")

    def allows(self, bundle_id: str) -> bool:
        """Whether an `authenticate`d connection may broadcast for this app."""
        topics = self._current.key.topics if self._current else frozenset()
        return not topics or bundle_id in topics

    def topic(self, request: ApnsRequest) -> str:
        """The topic of a push that `authenticate` let through. Raises ApnsRefusal."""
        topic = request.headers.get("apns-topic")
        if topic is None:
            raise ApnsRefusal("MissingTopic")
        allowed = self._current.key.topics if self._current else frozenset()
        if allowed and topic not in allowed:
            raise ApnsRefusal("TopicDisallowed")
        return topic


class CertificateCredential:
    """One connection that showed a push certificate of the sandbox's CA; authorization headers are ignored."""

    def __init__(self, der: bytes, environment: str) -> None:
        certificate = x509.load_der_x509_certificate(der)
        self._bundles = frozenset(
            str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
        )
        oid = OID_DEVELOPMENT if environment == "sandbox" else OID_PRODUCTION
        self._is_for_environment = any(extension.oid == oid for extension in certificate.extensions)

    def authenticate(self, request: ApnsRequest) -> str:
        """The bundle ID that sends. Raises ApnsRefusal."""
        if not self._bundles:
            raise ApnsRefusal("BadCertificate")
        if not self._is_for_environment:
            raise ApnsRefusal("BadCertificateEnvironment")
        return "certificate/" + ",".join(sorted(self._bundles))

    def allows(self, bundle_id: str) -> bool:
        """Whether the certificate is this app's."""
        return bundle_id in self._bundles

    def topic(self, request: ApnsRequest) -> str:
        """The push's topic: one of the certificate's bundle IDs with or without a suffix. Raises ApnsRefusal."""
        topic = request.headers.get("apns-topic", "")
        if not topic and len(self._bundles) == 1:
            # Apple: without the header, the topic of a certificate with a single one is meant.
            return next(iter(self._bundles))
        if not topic:
            raise ApnsRefusal("MissingTopic")
        if not any(topic == bundle or topic.startswith(f"{bundle}.") for bundle in self._bundles):
            raise ApnsRefusal("TopicDisallowed")
        if request.headers.get("apns-push-type") == "location":
            # Location pushes are for provider tokens only.
            raise ApnsRefusal("TopicDisallowed")
        return topic


Credential = TokenCredential | CertificateCredential
