"""APNs: what a client certificate has to say for itself."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from workers.sandbox.apns.credential import CertificateCredential
from workers.sandbox.apns.request import ApnsRefusal, ApnsRequest
from workers.sandbox.material import OID_DEVELOPMENT, OID_PRODUCTION, TOPIC

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(*environments: x509.ObjectIdentifier, bundles: tuple[str, ...] = (TOPIC,)) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.USER_ID, bundle) for bundle in bundles])
    start = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
    )
    for oid in environments:
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def request(**headers: str) -> ApnsRequest:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return ApnsRequest.of([(":method", "POST"), (":path", "/3/device/aa"), *fields], b"{}")


def refusal(credential: CertificateCredential, **headers: str) -> str:
    """The reason why a request is refused."""
    try:
        credential.authenticate(request(**headers))
        return f"accepted for {credential.topic(request(**headers))}"
    except ApnsRefusal as error:
        return error.reason


@pytest.mark.parametrize(
    ("oid", "environment", "other"),
    [(OID_DEVELOPMENT, "sandbox", "production"), (OID_PRODUCTION, "production", "sandbox")],
)
def test_a_certificate_is_good_in_its_environment_only(
    oid: x509.ObjectIdentifier, environment: str, other: str
) -> None:
    der = certificate(oid)

    assert f"certificate/{TOPIC}" == CertificateCredential(der, environment).authenticate(request())
    assert "BadCertificateEnvironment" == refusal(CertificateCredential(der, other))


def test_a_certificate_without_a_bundle_id_is_bad() -> None:
    assert "BadCertificate" == refusal(CertificateCredential(certificate(OID_PRODUCTION, bundles=()), "production"))


def test_a_certificate_of_several_apps_leaves_no_topic_to_guess() -> None:
    several = CertificateCredential(certificate(OID_PRODUCTION, bundles=(TOPIC, "org.example.other")), "production")

    assert "MissingTopic" == refusal(several)
    assert "org.example.other" == several.topic(request(apns_topic="org.example.other"))
    assert "TopicDisallowed" == refusal(several, apns_topic="org.example.third")


def test_location_pushes_need_a_provider_token() -> None:
    one = CertificateCredential(certificate(OID_PRODUCTION), "production")

    assert "TopicDisallowed" == refusal(one, apns_topic=f"{TOPIC}.location-query", apns_push_type="location")


def test_a_certificate_broadcasts_for_its_own_app() -> None:
    one = CertificateCredential(certificate(OID_PRODUCTION), "production")

    assert (True, False) == (one.allows(TOPIC), one.allows("org.example.other"))
