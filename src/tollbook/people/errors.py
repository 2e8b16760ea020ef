"""What can be wrong with people, each in one line that says what to do."""

from __future__ import annotations

from tollbook.errors import TollbookError


class PeopleError(TollbookError):
    """Something about an account, a token or a sign-in that cannot be done."""


class AccountInputError(PeopleError):
    """A value given for an account or a token that cannot be used."""

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")


class AccountNotFoundError(PeopleError):
    """No account has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:64]!r}: no account has this name; see: tollbook people list")


class NameTakenError(PeopleError):
    """A name stands for one account or token for ever, so that the audit trail stays readable."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"{what} {name}: there is one already; choose another name")


class LastOwnerError(PeopleError):
    """Without an owner nobody could manage people any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the last owner who can sign in; make another owner first")


class TokenNotFoundError(PeopleError):
    """No API token has this id or label."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:64]!r}: no API token with this id or label")


class SignInError(PeopleError):
    """Somebody may not sign in; the words never tell which part was wrong."""


class BusyError(PeopleError):
    """More sign-ins at once than can be checked."""

    def __init__(self) -> None:
        super().__init__("too many people are signing in at once; try again in a moment")


class ThrottledError(PeopleError):
    """Too many sign-ins of one account or from one address have failed."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many failed attempts; try again in {retry_after_s} s")


class OidcError(PeopleError):
    """The provider of OpenID Connect cannot be used, or what it sent cannot be trusted."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"[oidc]: {problem}")
