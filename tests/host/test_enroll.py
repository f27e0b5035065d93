"""`ikelet enroll` end to end: a request out, a certificate in; the key stays on the board."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ikelet import boards, demo, enroll, pki, provision, rehearsal
from ikelet import config as host_config
from ikelet.console import Console, ConsoleError
from ikelet.device import Device
from ikelet.enroll import EnrollError
from ikelet.errors import MisuseError
from ikelet.peers import PeerConfig, make_peer
from ikelet.pki import Identity, Validity
from ikelet.provision import ProvisionError
from ikelet.unixboard import UnixBoard
from ikelet_hil import lab
from ikelet_hil.canary import Canary
from ikelet_hil.capabilities import require

BRANCH, GATEWAY = "branch.example", "gw.example"
SUITE = "aes128-sha256-curve25519"
SUBJECT = pki.name("O=Lab, CN=branch")


class Quiet:
    """A Progress that nobody sees."""

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def percent(self, value: float) -> None: ...

    def done(self) -> None: ...


@pytest.fixture
def lines() -> list[bytes]:
    """Everything that came from the board's console."""
    return []


@pytest.fixture
def device(lines: list[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    require("micropython")
    running: list[UnixBoard] = []
    start = UnixBoard.__init__

    def started(self: UnixBoard, *arguments: Any) -> None:
        start(self, *arguments)
        running.append(self)

    monkeypatch.setattr(UnixBoard, "__init__", started)
    monkeypatch.setattr(
        "ikelet.device.Console",
        lambda link: Console(link, on_line=lambda direction, line: lines.append(line)),
    )
    with rehearsal.blank(boards.find("unix")) as there:
        there.flash = running[0].flash  # type: ignore[attr-defined]
        yield there


def requested(device: Device, kind: str = "ecdsa256") -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(enroll.request(device, kind, SUBJECT, [BRANCH]))


def issued(
    request: x509.CertificateSigningRequest, issuer: Identity | None = None, days: float = 30
) -> Identity:
    return pki.answer(request, Validity(days), issuer or lab.authority())


def configuration(identity: Identity, port: int = 0, peer_port: int = 500) -> host_config.Config:
    """Of an agent whose key is its own."""
    section = {
        "chain": [_base64(one) for one in chain(identity)],
        "ca": [_base64(lab.authority().certificate)],
        "time": int(time.time()),
    }
    hub = {
        "address": "127.0.0.1",
        "port": peer_port,
        "auth": "cert",
        "local_id": BRANCH,
        "remote_id": GATEWAY,
        "proposals": [SUITE],
    }
    return host_config.check(
        {
            "device": {"name": "branch", "development": True},
            "network": {"bind": "127.0.0.1", "port": port or demo.free_port()},
            "certificate": section,
            "peer": {"hq": hub},
        }
    )


def _base64(one: x509.Certificate) -> str:
    return base64.b64encode(one.public_bytes(Encoding.DER)).decode()


def chain(identity: Identity) -> list[x509.Certificate]:
    return [identity.certificate, *identity.chain]


def install(device: Device, identity: Identity) -> None:
    enroll.install(device, chain(identity))
    assert enroll.restart(device)["device"] == "branch"


@pytest.mark.parametrize("kind", sorted(enroll.CURVES))
def test_the_request_is_good_to_others(device: Device, kind: str, tmp_path: Path) -> None:
    identities = [BRANCH, "10.0.0.1", "2001:db8::1", "a@b.example"]
    made = enroll.request(device, kind, SUBJECT, identities)
    read = x509.load_pem_x509_csr(made)
    assert read.is_signature_valid
    assert read.subject == SUBJECT
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == identities
    path = tmp_path / "branch.csr"
    path.write_bytes(made)
    require("openssl")
    told = subprocess.run(
        ["openssl", "req", "-in", path, "-noout", "-verify", "-text"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "verify OK" in told.stderr + told.stdout
    size = kind.removeprefix("ecdsa")
    assert f"Public-Key: ({size} bit)" in told.stdout


def test_from_nothing_to_a_tunnel_and_again(device: Device) -> None:
    port = demo.free_port()
    gateway = lab.holder("ecdsa256", GATEWAY)
    settings = PeerConfig(
        remote=("127.0.0.1", port),
        credentials=gateway.for_peer(),
        local_id=GATEWAY,
        remote_id=BRANCH,
        proposals=[SUITE],
    )
    with make_peer("builtin", settings) as peer:
        first = issued(requested(device))
        given = configuration(first, port, peer.address[1])
        provision.run(device, given, None, Quiet())
        tunnel(device, peer, first)
        # Enrolled again: until the certificate is in, the old one serves, over a restart too.
        second = issued(requested(device, "ecdsa256"))
        device.restart()
        tunnel(device, peer, first)
        install(device, second)
        tunnel(device, peer, second)
        assert keys(device) == 1  # that of the old certificate is gone
        # And back into the other place.
        third = issued(requested(device))
        install(device, third)
        tunnel(device, peer, third)


def tunnel(device: Device, peer: Any, identity: Identity) -> None:
    """It comes up, with this certificate; and goes."""
    events = len(peer.events)
    device.call("up", {"peer": "hq"})
    assert peer.wait_event("established", 20, events), peer.events[events:]
    shown = peer.results[-1].remote_certificate
    assert shown == identity.certificate.public_bytes(Encoding.DER)
    device.call("down", {"peer": "hq"})


def keys(device: Device) -> int:
    return len(list(device.flash.glob("key_*")))  # type: ignore[attr-defined]


def refused_identities(device: Device) -> dict[str, tuple[Identity, str]]:
    request = requested(device)
    other = lab.holder("ecdsa256", BRANCH).identity
    stranger = lab.authority("ecdsa256", "stranger")
    return {
        "another's": (other, "for no key that this board has made"),
        "of an RSA key": (lab.holder("rsa2048", BRANCH).identity, "for no key that this board"),
        "by a stranger": (issued(request, stranger), "no trusted CA has issued"),
        "expired": (issued(request, days=-1), "a certificate has expired"),
    }


def test_what_is_refused(device: Device) -> None:
    """By provision where there is no configuration yet, by enroll afterwards; and kept is what
    there was."""
    cases = refused_identities(device)
    for name, (identity, reason) in cases.items():
        with pytest.raises(ProvisionError, match=reason):
            provision.run(device, configuration(identity), None, Quiet())
        assert device.restart()["code"] == "not-provisioned", name
    with pytest.raises(EnrollError, match="provision it, with certificate_file"):
        enroll.install(device, chain(cases["another's"][0]))
    good = issued(requested(device))
    provision.run(device, configuration(good), None, Quiet())
    cases = refused_identities(device)
    for identity, reason in cases.values():
        with pytest.raises(EnrollError, match=reason):
            enroll.install(device, chain(identity))
    assert device.restart()["event"] == "boot"


def test_a_request_that_makes_no_sense(device: Device) -> None:
    subject = base64.b64encode(pki.name("CN=x").public_bytes()).decode()
    good: dict[str, Any] = {"curve": "ecp256", "subject": subject, "names": []}
    for wrong in (
        {"curve": "curve25519"},
        {"curve": ["ecp256"]},
        {"subject": "!"},
        {"subject": "MAA="[:3]},
        {"subject": None},
        {"names": [[9, subject]]},
        {"names": [[2, None]]},
        {"names": [2]},
        {"names": None},
    ):
        with pytest.raises(ConsoleError, match="wants curve, subject and names"):
            device.call("enroll.request", good | wrong)
    assert device.call("enroll.request", good)["request"]
    for wrong_certificate in ("", "[]", "{}", '{"chain": [], "time": 0}'):
        device.call("config.put", {"offset": 0, "data": wrong_certificate})
        with pytest.raises(ConsoleError, match=r"enroll\.install wants|no section certificate"):
            device.call("enroll.install")


def test_the_key_is_nowhere_but_on_the_board(
    device: Device, lines: list[bytes], tmp_path: Path
) -> None:
    """Not in an answer, an event or a log line of the console, nor in what the host keeps."""
    identity = issued(requested(device))
    (kept,) = device.flash.glob("key_*")  # type: ignore[attr-defined]
    private = kept.read_bytes()[:32]
    own = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
    assert own.public_key() == identity.certificate.public_key()
    provision.run(device, configuration(identity), None, Quiet())
    device.call("status")
    device.call("config.get")
    with pytest.raises(EnrollError):
        enroll.install(device, chain(lab.holder("ecdsa256", BRANCH).identity))
    canary = Canary("0x" + private.hex())
    told = b"\n".join(lines)
    assert b"enroll" in told or len(told) > 1000
    assert canary.find_in(told, "the console") == []
    assert canary.find_below(tmp_path) == []
    for path in device.flash.rglob("*.json"):  # type: ignore[attr-defined]
        assert canary.find_in(path.read_bytes(), path.name) == []


class TestCommand:
    """What a user types."""

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ikelet", "enroll", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_rehearsal(self, tmp_path: Path) -> None:
        require("micropython")
        out = tmp_path / "x.csr"
        ran = self.run("--board", "unix", "--dn", "CN=x", "--out", out)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{out}\n", "")
        assert x509.load_pem_x509_csr(out.read_bytes()).is_signature_valid
        again = self.run("--board", "unix", "--dn", "CN=x", "--out", out)
        assert again.returncode == 2 and "--force overwrites" in again.stderr
        ran = self.run("--board", "unix", "--id", "x.example", "--json")
        made = json.loads(ran.stdout)["request"]
        assert x509.load_pem_x509_csr(made.encode()).subject == pki.name("CN=x.example")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "say where the board is: --port PORT"),
            (["--board", "esp32-generic"], "say where the board is: --port PORT"),
            (["--board", "unix"], "the board has no name yet: say --dn or --id"),
            (["--board", "unix", "--dn", "x"], "not a name: 'x'"),
            (["--board", "unix", "--certificate", "x.pem"], "that made the request: --port"),
            (["--port", "/dev/x", "--certificate", "x", "--dn", "CN=x"], "neither --dn"),
            (["--board", "unix", "--key", "rsa2048"], "'rsa2048' is not one of"),
        ],
    )
    def test_misuse(self, arguments: list[str], said: str) -> None:
        if "unix" in arguments:
            require("micropython")
        ran = self.run(*arguments)
        assert ran.returncode == 2
        assert said in ran.stderr and ran.stderr.count("\n") == 1


def test_a_file_that_is_no_certificate(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    with pytest.raises(MisuseError, match="cannot be read"):
        enroll.read(path)
    path.write_text("x")
    with pytest.raises(MisuseError, match="has no certificate that can be read"):
        enroll.read(path)
