from __future__ import annotations

import pytest

from tollbook.errors import CheckFailedError, TollbookError


class PortError(TollbookError):
    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use; set gateway.port")


def test_the_message_is_what_a_person_reads() -> None:
    error = PortError(80)
    assert error.message == str(error) == "port 80 is in use; set gateway.port"


@pytest.mark.parametrize(("kind", "code"), [(TollbookError, 2), (CheckFailedError, 1)])
def test_exit_codes(kind: type[TollbookError], code: int) -> None:
    assert kind("x").exit_code == code


def test_a_failed_check_is_caught_with_the_others() -> None:
    with pytest.raises(TollbookError):
        raise CheckFailedError("sums differ")
