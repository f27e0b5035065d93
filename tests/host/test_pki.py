"""`ikelet pki`: the board accepts what it makes; nothing is overwritten, and no key left open."""

import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from certificates import maker
from ikelet import cli
from ikelet import pki as lab
from ikelet.errors import MisuseError
from pki import Refused, dn, name, path
from pki.certificate import Certificate
from pki.crl import Revocation

Run = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run("ca", "root", ...) -> the folder with the files."""

    def run(*words: str) -> Path:
        code = cli.ikelet.main(["pki", *words, "--dir", str(tmp_path)], standalone_mode=False)
        assert code == 0
        return tmp_path

    return run


def ders(file: Path) -> list[bytes]:
    found = x509.load_pem_x509_certificates(file.read_bytes())
    return [one.public_bytes(serialization.Encoding.DER) for one in found]


def verdict(
    folder: Path, device: str, root: str = "root", crls: tuple[str, ...] = ()
) -> str | None:
    """What the board says: None where it accepts, else the code."""
    lists = [x509.load_pem_x509_crl((folder / f"{one}.crl.pem").read_bytes()) for one in crls]
    encoded = [one.public_bytes(serialization.Encoding.DER) for one in lists]
    revocation = Revocation(lambda issuer: encoded, True) if crls else None
    anchors = [Certificate(ders(folder / "root.pem")[0])]
    try:
        chain = ders(folder / f"{device}.pem")
        path.validate(chain, anchors, time.time(), maker.verify, revocation)
    except Refused as refused:
        return refused.code
    return None


def test_lab(run: Run) -> None:
    folder = run("lab")
    for device in ("gateway", "device"):
        assert verdict(folder, device, crls=("root", "branches")) is None
        assert len(ders(folder / f"{device}.pem")) == 2
        leaf = Certificate(ders(folder / f"{device}.pem")[0])
        for identity in (f"{device}.example", f"O=Lab, CN={device}.example"):
            assert name.matches(*dn.identity(identity), leaf)
    run("crl", "branches", "--revoke", "device")
    assert verdict(folder, "device", crls=("root", "branches")) == "revoked"
    assert verdict(folder, "gateway", crls=("root", "branches")) is None


@pytest.mark.parametrize("kind", ["ecdsa256", "ecdsa384", "ecdsa521", "rsa2048"])
def test_keys(run: Run, kind: str) -> None:
    run("ca", "root", "--key", kind)
    folder = run("issue", "gw", "--ca", "root", "--key", kind)
    assert verdict(folder, "gw", crls=("root",)) is None


def test_files_and_modes(run: Run) -> None:
    old = os.umask(0)
    try:
        folder = run("lab")
        run("issue", "phone", "--ca", "branches", "--p12")
    finally:
        os.umask(old)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    for file, mode in modes.items():
        assert mode == (0o600 if file.endswith((".key.pem", ".p12")) else 0o644), file
    assert len(modes) == 13


def test_nothing_is_overwritten(run: Run) -> None:
    folder = run("ca", "root")
    before = {file: file.read_bytes() for file in folder.iterdir()}
    (folder / "root.crl.pem").unlink()
    with pytest.raises(MisuseError, match="--force"):
        run("ca", "root")
    assert not (folder / "root.crl.pem").exists()
    (folder / "gw.pem").symlink_to("nowhere")
    with pytest.raises(MisuseError, match=r"gw\.pem: there already"):
        run("issue", "gw", "--ca", "root")
    assert not (folder / "gw.key.pem").exists()
    run("ca", "root", "--force")
    after = {file: file.read_bytes() for file in before}
    assert all(after[file] != content for file, content in before.items())


def test_chain_of_three_and_path_length(run: Run) -> None:
    run("ca", "root", "--dn", "C=DE, O=Lab, CN=Root", "--pathlen", "1")
    run("ca", "one", "--ca", "root")
    run("ca", "two", "--ca", "one")
    run("issue", "near", "--ca", "one")
    folder = run("issue", "far", "--ca", "two")
    assert len(ders(folder / "far.pem")) == 3
    assert verdict(folder, "near") is None
    assert verdict(folder, "far") == "path-too-long"


def test_dates(run: Run) -> None:
    run("ca", "root")
    folder = run("issue", "old", "--ca", "root", "--days", "-3")
    assert verdict(folder, "old") == "expired"
    run("issue", "gw", "--ca", "root")
    run("crl", "root", "--days", "-1")
    assert verdict(folder, "gw", crls=("root",)) == "stale-crl"


def test_crl_keeps_what_was_revoked(run: Run) -> None:
    run("ca", "root")
    run("issue", "a", "--ca", "root")
    folder = run("issue", "b", "--ca", "root")
    run("crl", "root", "--revoke", "a")
    number = x509.load_pem_x509_certificates((folder / "b.pem").read_bytes())[0].serial_number
    run("crl", "root", "--revoke", f"{number:x}")
    assert (
        verdict(folder, "a", crls=("root",)) == verdict(folder, "b", crls=("root",)) == "revoked"
    )
    crl = x509.load_pem_x509_crl((folder / "root.crl.pem").read_bytes())
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    run("ca", "other")
    run("issue", "c", "--ca", "other")
    with pytest.raises(MisuseError, match="only its own CA"):
        run("crl", "root", "--revoke", "c")
    with pytest.raises(MisuseError, match="serial number in hex"):
        run("crl", "root", "--revoke", "nobody")


def test_identities(run: Run) -> None:
    run("ca", "root")
    identities = ("10.0.0.1", "fe80::1", "gw.example", "a@gw.example")
    words = [word for one in identities for word in ("--id", one)]
    folder = run("issue", "gw", "--ca", "root", "--dn", "C=DE, O=A\\, B, CN=gw", *words)
    leaf = Certificate(ders(folder / "gw.pem")[0])
    assert dn.text(leaf.subject) == "C=DE, O=A\\, B, CN=gw"
    for identity in ("gw.example", "a@gw.example", "C=DE, O=A\\, B, CN=gw"):
        assert name.matches(*dn.identity(identity), leaf)
    assert name.matches(name.ID_IPV4, b"\x0a\x00\x00\x01", leaf)
    for wrong in ("CN", "XX=a", "C=Germany", ""):
        with pytest.raises(MisuseError, match="not a name"):
            run("issue", "x", "--ca", "root", "--dn", wrong or "=")
    with pytest.raises(MisuseError, match="not an identity"):
        run("issue", "x", "--ca", "root", "--id", "müller.example")


def test_request(run: Run, tmp_path: Path) -> None:
    run("ca", "root")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(lab.name("CN=branch"))
    names = x509.SubjectAlternativeName([x509.DNSName("branch.example")])
    request = builder.add_extension(names, False).sign(key, hashes.SHA256())
    file = tmp_path / "branch.csr"
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        file.write_bytes(request.public_bytes(encoding))
        folder = run("issue", "branch", "--ca", "root", "--request", str(file), "--force")
        assert verdict(folder, "branch") is None
        assert not (folder / "branch.key.pem").exists()
        leaf = Certificate(ders(folder / "branch.pem")[0])
        assert leaf.key.public == maker.public_bytes(key.public_key())
        assert name.matches(*dn.identity("branch.example"), leaf)
        assert not leaf.ca
    changed = bytearray(request.public_bytes(serialization.Encoding.DER))
    changed[-1] ^= 1
    file.write_bytes(changed)
    with pytest.raises(MisuseError, match="not signed with its own key"):
        run("issue", "branch", "--ca", "root", "--request", str(file), "--force")
    with pytest.raises(MisuseError, match="is not here"):
        run("issue", "x", "--ca", "branch")


def test_a_request_does_not_get_what_it_asks_for_beyond_names(run: Run, tmp_path: Path) -> None:
    run("ca", "root")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(lab.name("CN=evil"))
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    file = tmp_path / "evil.csr"
    file.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    folder = run("issue", "evil", "--ca", "root", "--request", str(file))
    assert not Certificate(ders(folder / "evil.pem")[0]).ca


def test_pkcs12(run: Run, tmp_path: Path) -> None:
    run("lab")
    secret = tmp_path / "secret"
    secret.write_text("correct horse\nnot this\n")
    words = ("--ca", "branches", "--p12", "--password-file", str(secret))
    folder = run("issue", "phone", *words)
    data = (folder / "phone.p12").read_bytes()
    key, certificate, above = pkcs12.load_key_and_certificates(data, b"correct horse")
    assert key is not None and certificate is not None
    assert certificate.public_key() == key.public_key()
    assert {lab.text(one.subject) for one in above} == {
        "O=Lab, CN=Lab Branches",
        "O=Lab, CN=Lab Root",
    }
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(data, b"wrong")
    secret.write_text("")
    with pytest.raises(MisuseError, match="no password"):
        run("issue", "phone", *words, "--force")
    with pytest.raises(MisuseError, match="--p12"):
        run("issue", "x", "--ca", "branches", "--password-file", str(secret))


def test_show(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("lab")
    capsys.readouterr()
    words = ["pki", "show", str(folder / "gateway.pem")]
    assert cli.ikelet.main(words, standalone_mode=False) == 0
    out = capsys.readouterr().out
    assert "O=Lab, CN=gateway.example" in out and "gateway.example\n" in out
    assert cli.ikelet.main([*words, "--json"], standalone_mode=False) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["ca"] for row in rows] == ["no", "yes"]
    assert rows[0]["key"] == "EC 256" and rows[0]["issuer"] == rows[1]["subject"]


def test_misuse(run: Run, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="cannot read"):
        run("issue", "gw", "--ca", "nobody")
    for wrong in ("../x", ".x", "a/b"):
        with pytest.raises(MisuseError, match="not a name for files"):
            run("ca", wrong)
    run("ca", "root")
    run("ca", "other")
    (tmp_path / "root.key.pem").write_bytes((tmp_path / "other.key.pem").read_bytes())
    with pytest.raises(MisuseError, match="does not belong"):
        run("issue", "gw", "--ca", "root")
    (tmp_path / "root.pem").write_text("rubbish")
    with pytest.raises(MisuseError, match=r"root\.pem: not what it should be"):
        run("issue", "gw", "--ca", "root")
