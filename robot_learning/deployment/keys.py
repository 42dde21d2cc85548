"""CURVE keys: who may talk to a policy server that is not on the same machine, and that nobody listens in.

`make_keys("keys")` makes `keys/server` for the server's machine and `keys/rig` for the rig's. Each holds one
secret key, which stays there, and the public keys of the other side. Where a folder of keys is asked for, that is
either of these, or `keys` where both are on one machine.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import zmq
import zmq.auth

from robot_learning.errors import DeploymentError

SERVER = "server"
CLIENTS = "clients"  # in the server's folder: the public keys of those who may ask
SECRET, PUBLIC = ".key_secret", ".key"
_MAKE = "make keys with robot-learning serve --make-keys keys."


def make_keys(folder: str | Path, client: str = "rig") -> tuple[Path, Path]:
    """Make keys for a server and one client; where the server has keys already, admit one more client.

    Returns:
        The folders to bring to the server's and to the client's machine.

    Raises:
        DeploymentError: this client has keys already, or the place can't be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", client) or client == SERVER:
        raise DeploymentError(
            f"a client's name is lower case letters, digits and '_', and not '{SERVER}'; got '{client}'."
        )
    root = Path(folder)
    server_dir, client_dir = root / SERVER, root / client
    if client_dir.exists():
        raise DeploymentError(f"{client_dir} exists already; name another client with --client, or remove the folder.")
    before = os.umask(0o077)
    try:
        (server_dir / CLIENTS).mkdir(parents=True, exist_ok=True)
        client_dir.mkdir()
        if not (server_dir / f"{SERVER}{SECRET}").exists():
            zmq.auth.create_certificates(server_dir, SERVER)
        zmq.auth.create_certificates(client_dir, client)
        (client_dir / f"{client}{PUBLIC}").rename(server_dir / CLIENTS / f"{client}{PUBLIC}")
        (client_dir / f"{SERVER}{PUBLIC}").write_bytes((server_dir / f"{SERVER}{PUBLIC}").read_bytes())
    except OSError as error:
        raise DeploymentError(f"can't write keys to {root}: {error.strerror or error}; give another folder.") from None
    finally:
        os.umask(before)
    return server_dir, client_dir


@dataclass(frozen=True)
class ServerKeys:
    """What a server needs: its own keys, and the public keys (Z85) of the clients that it admits."""

    public: bytes
    secret: bytes
    admitted: frozenset[bytes]

    @staticmethod
    def read(folder: str | Path) -> ServerKeys:
        """The keys in `folder` or its `server`; raises DeploymentError where one is missing."""
        own = Path(folder)
        own = own / SERVER if (own / SERVER).is_dir() else own
        files = sorted((own / CLIENTS).glob(f"*{PUBLIC}"))
        if not files:
            raise DeploymentError(f"{own / CLIENTS} has no client's public key; {_MAKE}")
        return ServerKeys(*_secret(own), frozenset(_load(file)[0] for file in files))

    def secure(self, socket: zmq.Socket) -> None:
        """Make a socket speak CURVE; before it is bound."""
        socket.curve_publickey, socket.curve_secretkey, socket.curve_server = self.public, self.secret, True


@dataclass(frozen=True)
class ClientKeys:
    """What a client needs: its own keys, and the public key of the server that it trusts."""

    public: bytes
    secret: bytes
    server: bytes

    @staticmethod
    def read(folder: str | Path) -> ClientKeys:
        """The keys of the one client in `folder` or below; raises DeploymentError where one is missing."""
        own = Path(folder)
        if (own / CLIENTS).exists():
            raise DeploymentError(f"{own} holds a server's keys; a client needs its own, such as {own.parent / 'rig'}.")
        below = sorted(file.parent for file in own.glob(f"*/*{SECRET}") if file.parent.name != SERVER)
        if len(below) > 1:
            names = ", ".join(map(str, below))
            raise DeploymentError(f"{own} holds the keys of several clients; name one of their folders: {names}.")
        own = below[0] if below else own
        return ClientKeys(*_secret(own), _load(own / f"{SERVER}{PUBLIC}")[0])

    def secure(self, socket: zmq.Socket) -> None:
        """Make a socket speak CURVE; before it connects."""
        socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = self.public, self.secret, self.server


def is_local(endpoint: str) -> bool:
    """Whether an endpoint can be reached from its own machine only.

    Raises:
        DeploymentError: it is not `tcp://host:port` or `ipc://path`.
    """
    if endpoint.startswith("ipc://") and len(endpoint) > len("ipc://"):
        return True
    match = re.fullmatch(r"tcp://(.+):(\d{1,5}|\*)", endpoint)
    if not match or (match[2] != "*" and int(match[2]) > 65535):
        raise DeploymentError(f"an endpoint is tcp://host:port, e.g. tcp://127.0.0.1:5757; got '{endpoint}'.")
    host = match[1]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(urlsplit(f"//{host}").hostname or "").is_loopback
    except ValueError:  # a name, an interface, or every interface
        return False


def require_keys(endpoint: str, keys: str | Path) -> None:
    """Raise DeploymentError for an endpoint beyond this machine without keys."""
    if not keys and not is_local(endpoint):
        raise DeploymentError(
            f"{endpoint} is beyond this machine and there are no keys, so anyone could command or listen; "
            "make some with robot-learning serve --make-keys keys, or stay on tcp://127.0.0.1."
        )


def _secret(folder: Path) -> tuple[bytes, bytes]:
    """Public and secret key of the one secret key file in a folder."""
    files = sorted(folder.glob(f"*{SECRET}"))
    if len(files) != 1:
        raise DeploymentError(f"{folder} must hold one secret key (*{SECRET}), it holds {len(files)}; {_MAKE}")
    if files[0].stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DeploymentError(f"{files[0]} can be read by others; make it yours alone: chmod 600 {files[0]}.")
    public, secret = _load(files[0])
    if secret is None:
        raise DeploymentError(f"{files[0]} holds no secret key; {_MAKE}")
    return public, secret


def _load(file: Path) -> tuple[bytes, bytes | None]:
    try:
        return zmq.auth.load_certificate(file)
    except (OSError, ValueError) as error:
        raise DeploymentError(f"can't read the key {file}: {error}; {_MAKE}") from None
