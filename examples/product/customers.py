"""Who has signed up: keys of the product, and whose they are."""

from __future__ import annotations

from typing import Final

USERS: Final[dict[str, dict[str, str]]] = {
    "key-ada": {"tenant": "acme", "user": "ada"},
    "key-bob": {"tenant": "acme", "user": "bob"},
    "key-cleo": {"tenant": "globex", "user": "cleo"},
    "key-dan": {"tenant": "initech", "user": "dan"},
    "key-eve": {"tenant": "umbrella", "user": "eve"},
}
