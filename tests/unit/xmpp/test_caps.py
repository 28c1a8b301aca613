"""XEP-0115: the verification string, and what disproves one."""

import pytest

from gateway.xmpp import caps, ns
from gateway.xmpp.forms import Form

MUC = ["http://jabber.org/protocol/muc", "http://jabber.org/protocol/caps", ns.DISCO_ITEMS, ns.DISCO_INFO]

SOFTWARE = f"""<x xmlns='{ns.DATA_FORMS}' type='result'>
  <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
  <field var='os'><value>Mac</value></field>
  <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>
  <field var='os_version'><value>10.5.1</value></field>
  <field var='software'><value>Psi</value></field>
  <field var='software_version'><value>0.11</value></field>
</x>"""


def a_query(inner: str) -> bytes:
    return f"<query xmlns='{ns.DISCO_INFO}'>{inner}</query>".encode()


def features(*names: str) -> str:
    return "".join(f"<feature var='{name}'/>" for name in names)


def hash_of(described: caps.Described) -> str:
    described.check()
    return caps.verification(described.identities, described.features, described.forms)


def test_the_simple_example_of_section_5_2() -> None:
    ver = caps.verification([("client", "pc", "Exodus 0.9.1")], MUC)

    assert "QgayPKawpkPSDYmwT/WM94uAlu0=" == ver


def test_the_complex_example_of_section_5_3_as_it_is_read_from_the_wire() -> None:
    described = caps.read(
        a_query(
            "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
            "<identity xml:lang='el' category='client' name='\u03a8 0.11' type='pc'/>" + features(*MUC) + SOFTWARE
        )
    )

    assert "q07IKJEyjvHSyhy//CH0CxmKi8w=" == hash_of(described)


def test_a_form_may_be_given_as_bytes() -> None:
    identities = [("client", "pc", "Psi 0.11", "en"), ("client", "pc", "\u03a8 0.11", "el")]

    assert "q07IKJEyjvHSyhy//CH0CxmKi8w=" == caps.verification(identities, MUC, [SOFTWARE.encode()])


def test_other_hash_functions_have_other_strings() -> None:
    ver = caps.verification([("client", "pc", "")], MUC, hash_name="sha-256")

    assert 44 == len(ver)


@pytest.mark.parametrize("name", sorted(caps.HASHES))
def test_every_hash_function_that_is_named_is_there(name: str) -> None:
    assert caps.verification([], MUC, hash_name=name)


def test_forms_whose_type_is_not_hidden_are_passed_over() -> None:
    plain = SOFTWARE.replace(" type='hidden'", "")

    assert () == caps.read(a_query(features(*MUC) + plain)).forms


@pytest.mark.parametrize(
    "inner",
    [
        features("a", "a"),
        "<identity category='client' type='pc'/>" * 2 + features("a"),
        features("a") + SOFTWARE * 2,
        features("a") + SOFTWARE.replace("</value></field>", "</value><value>other</value></field>", 1),
        features("a&lt;b"),
        "<identity category='client' type='pc' name='x&lt;a'/>" + features("b"),
        features("a") + SOFTWARE.replace("Mac", "&lt;Mac"),
        "",
        features(""),
        "<feature/>",
    ],
)
def test_ill_formed_answers_prove_nothing(inner: str) -> None:
    with pytest.raises(caps.IllFormed):
        caps.read(a_query(inner)).check()


def test_a_form_as_a_value_counts_as_well() -> None:
    form = Form("result", {"FORM_TYPE": ["t"], "b": ["2", "1"], "a": []})

    assert caps.verification([], ["f"], [form]) != caps.verification([], ["f"])
