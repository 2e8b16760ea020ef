"""Read a channel's secret when it is needed; it is in no log, no error and no document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tollbook.alerts.channel import ChannelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tollbook.alerts.channel import Channel

SECRETS_DIR: Final = "secrets"
SYSTEM_DIR: Final = Path("/run/secrets")
_SECRET_MAX_BYTES: Final = 4096


def secret_of(one: Channel, environ: Mapping[str, str], data_dir: Path) -> str | None:
    """Return the secret of a channel; None where it names none.

    Raises:
        ChannelError: the variable is not set, or the file cannot be read.
    """
    if one.secret_env is not None:
        found = environ.get(one.secret_env, "").strip()
        if not found:
            raise ChannelError(one.name, f"the environment of the ledger has no {one.secret_env}")
        return found
    if one.secret_file is None:
        return None
    for directory in (data_dir / SECRETS_DIR, SYSTEM_DIR):
        path = directory / one.secret_file
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ChannelError(one.name, f"{path}: cannot be read: {error.strerror}") from error
        text = data[:_SECRET_MAX_BYTES].decode("utf-8", "replace").strip()
        if not text or len(data) > _SECRET_MAX_BYTES:
            raise ChannelError(one.name, f"{path}: expected a secret of at most 4,096 bytes")
        return text
    raise ChannelError(
        one.name, f"there is no {one.secret_file} in {data_dir / SECRETS_DIR} or {SYSTEM_DIR}"
    )
