"""Enrolment: the board makes its key, a CA signs the request, and the board goes on with that."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ikelet import enroll, pki
from ikelet.boards import Board
from ikelet.enroll import EnrollError
from ikelet.pki import Identity, Validity
from ikelet_hil import lab, power
from ikelet_hil.bench import Bench
from ikelet_hil.capabilities import require
from ikelet_hil.lab import AGENT, GATEWAY
from ikelet_hil.station import Station

SUBJECT = pki.name(f"O=Lab, CN={AGENT}")
HEAP = 160 << 10  # of certificates, and of a request beside them


@pytest.fixture(autouse=True)
def _room(board: Board) -> None:
    small = board.heap < HEAP
    require("heap", f"{board.name} has {board.heap >> 10} KB, enrolment needs more" * small)


@pytest.fixture
def enrolled(bench: Bench) -> Bench:
    """An agent that runs with a certificate, and with a key that came with it."""
    start(bench, development=True)
    return bench


def start(bench: Bench, development: bool) -> None:
    bench.start(
        "builtin",
        "initiator",
        {"auth": "cert", "local_id": AGENT, "remote_id": GATEWAY},
        {
            "credentials": lab.holder("ecdsa256", GATEWAY).for_peer(),
            "local_id": GATEWAY,
            "remote_id": AGENT,
        },
        "aes128-sha256-curve25519",
        device={"development": development},
        certificate=lab.holder("ecdsa256", AGENT).for_agent(),
    )


def request(bench: Bench, kind: str = "ecdsa256") -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(enroll.request(bench.agent.console, kind, SUBJECT, [AGENT]))


def issue(made: x509.CertificateSigningRequest) -> Identity:
    return pki.answer(made, Validity(30), lab.authority())


def comes_up(bench: Bench) -> x509.Certificate:
    """The certificate with which it does."""
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason
    assert theirs.remote_certificate
    return x509.load_der_x509_certificate(theirs.remote_certificate)


@pytest.mark.parametrize("kind", sorted(enroll.CURVES))
def test_request(enrolled: Bench, kind: str, tmp_path: Path) -> None:
    """Others find its signature good; its key is a new one each time."""
    made = request(enrolled, kind)
    assert made.is_signature_valid
    assert made.public_key() != request(enrolled, kind).public_key()
    require("openssl")
    path = tmp_path / "agent.csr"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    command = ["openssl", "req", "-in", path, "-noout", "-verify"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "verify OK" in told.stderr + told.stdout


def test_not_by_just_anybody(bench: Bench) -> None:
    """In production it takes the password, as for anything that changes who the board is."""
    start(bench, development=False)
    with pytest.raises(EnrollError, match="the board is in production"):
        request(bench)
    with pytest.raises(EnrollError, match="the board is in production"):
        enroll.install(bench.agent.console, [lab.holder("ecdsa256", AGENT).identity.certificate])


@pytest.mark.requires("power")
def test_the_new_key_counts_with_its_certificate(enrolled: Bench, station: Station) -> None:
    before = comes_up(enrolled)
    identity = issue(request(enrolled))
    enrolled.agent.take_down()
    assert comes_up(enrolled) == before
    enroll.install(enrolled.agent.console, [identity.certificate])
    switch = station.held.power
    enrolled.agent.power_cycle((lambda: power.cycle(switch)) if switch else None)
    assert comes_up(enrolled) == identity.certificate


@pytest.mark.requires("power")
def test_what_is_refused_changes_nothing(enrolled: Bench, station: Station) -> None:
    before = comes_up(enrolled)
    made = request(enrolled)
    stranger = pki.answer(made, Validity(30), lab.authority("ecdsa256", "stranger"))
    another = lab.holder("ecdsa256", AGENT).identity
    expired = pki.answer(made, Validity(-1), lab.authority())
    for identity, reason in (
        (stranger, "no trusted CA has issued"),
        (another, "for no key that this board has made"),
        (expired, "a certificate has expired"),
    ):
        with pytest.raises(EnrollError, match=reason):
            enroll.install(enrolled.agent.console, [identity.certificate])
    switch = station.held.power
    enrolled.agent.power_cycle((lambda: power.cycle(switch)) if switch else None)
    assert comes_up(enrolled) == before
