"""Signatures over a bundle's index, by OpenSSH's ssh-keygen (PROTOCOL.sshsig). Standard library only."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from edgemill.bundles.names import shown
from edgemill.errors import BundleError

NAMESPACE = "edgemill"
PATIENCE = 600.0  # seconds: signing may ask for a passphrase or a touch


def sign(index: Path, key: Path) -> Path:
    """Sign a file with a private key (or the public half of one that an agent holds); returns the signature's file. Raises BundleError."""
    if not key.is_file():
        raise BundleError("there is no such key", where=str(key), remedy="ssh-keygen -t ed25519 -f FILE makes one")
    done = _keygen("-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(index))
    signature = index.with_name(index.name + ".sig")
    if done.returncode or not signature.is_file():
        raise BundleError("the bundle could not be signed", where=str(key), found=shown(_said(done)))
    return signature


def check_signature(content: bytes, signature: bytes | None, signers: Path, where: str) -> str:
    """The name in the file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS) of whoever signed. Raises BundleError."""
    if not signers.is_file():
        raise BundleError("there is no such file of allowed signers", where=str(signers))
    if signature is None:
        raise BundleError("the bundle is not signed", where=where, expected=f"a signature of one of the signers in {signers}")
    with tempfile.TemporaryDirectory(prefix="edgemill-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        found = _keygen("-Y", "find-principals", "-s", str(file), "-f", str(signers))
        problem = _said(found)
        for name in found.stdout.decode(errors="replace").splitlines() if not found.returncode else []:
            done = _keygen("-Y", "verify", "-f", str(signers), "-I", name, "-n", NAMESPACE, "-s", str(file), content=content)
            if not done.returncode:
                return name
            problem = _said(done)
    raise BundleError(
        "the bundle's signature is not one of the allowed signers' over this index",
        where=where,
        expected=f"one in {signers}, for the namespace {NAMESPACE}",
        found=shown(problem),
        remedy="do not install it; ask whoever made it",
    )


def _keygen(*arguments: str, content: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments],
            input=content,
            stdin=subprocess.DEVNULL if content is None else None,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        raise BundleError(
            "this machine has no ssh-keygen", where="--sign or --signers", remedy="install OpenSSH's client, 8.2 or newer"
        ) from None
    except subprocess.TimeoutExpired:
        raise BundleError("ssh-keygen did not end", where="--sign or --signers", expected=f"an end within {PATIENCE:g} s") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return (done.stderr or done.stdout).decode(errors="replace").strip() or f"exit status {done.returncode}"
