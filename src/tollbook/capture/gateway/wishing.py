"""A call whose client asked something of the gateway: its cost, an answer given before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tollbook import clock
from tollbook.call import Status
from tollbook.capture.gateway.headers import CACHE, FORWARD
from tollbook.capture.gateway.opencall import OpenCall
from tollbook.capture.gateway.response_cache import cache_key
from tollbook.capture.gateway.wished_answer import Keeping, WishedAnswer

if TYPE_CHECKING:
    from tollbook.call import Identity
    from tollbook.capture.gateway.callers import Caller
    from tollbook.capture.gateway.response_cache import Kept
    from tollbook.capture.gateway.wishes import Wishes
    from tollbook.dialects.base import Header

_OK: Final = 200


class Wishing(OpenCall):
    """Grants the wishes of :mod:`tollbook.capture.gateway.wishes`."""

    __slots__ = ()

    def _grant(self, wishes: Wishes) -> None:
        """Answer from the cache or send the request on; the prices may have to be loaded first."""
        costs = self._service.costs
        if wishes.cost and not costs.is_ready:
            costs.when_ready(self._granted)
        else:
            self._granted()

    def _granted(self) -> None:
        if self._is_closed:
            return
        wishes = self._admitted.wishes
        if wishes is not None and wishes.cache:
            kept = self._look_up(wishes)
            if kept is not None:
                self._give(kept, wishes)
                return
        self._send_on()

    def _wished_answer(
        self, wishes: Wishes, status: int, headers: list[Header], *, keep_alive: bool
    ) -> WishedAnswer:
        """Return the answer whose head has come from the provider."""
        lines = self._head_lines
        if wishes.cache:
            lines += b"%b: %b\r\n" % (CACHE, b"bypass" if self._keeping is None else b"miss")
        return WishedAnswer(
            status, headers, call_id=self._call_id, is_head=self.is_head,
            is_http_10=self.is_http_10, keep_alive=keep_alive,
            hides_usage=self._facts.hides_usage, dialect=self._admitted.upstream.dialect,
            lines=lines, costs=self._service.costs if wishes.cost else None,
            keeping=self._keeping,
        )  # fmt: skip

    def _body_asked(self) -> bytes:
        """Return the body by which equal requests are known."""
        return self._facts.body

    def _look_up(self, wishes: Wishes) -> Kept | None:
        """Return the answer to an equal request of the same owner, if there is one."""
        opened, service = self._opened, self._service
        assert opened is not None
        cache, upstream, now_s = service.response_cache, self._admitted.upstream, service.wheel.now
        owner = _owner(
            opened.identity,
            self._admitted.caller,
            is_per_user=service.config.response_cache.per == "user",
        )
        self._keeping = key = None
        if owner is not None and wishes.may_keep:
            rules = upstream.rules
            headers = [h for h in self.headers if rules.of(h[0]) == FORWARD]
            scope = f"route {opened.route}" if opened.route else f"provider {opened.provider}"
            target = (scope, self.method, self._admitted.target)
            key = cache_key(owner, target, headers, self._body_asked())
        if key is None:
            cache.outcomes["bypass"] += 1
            return None
        kept = cache.get(key, now_s) if wishes.may_read else None
        cache.outcomes["miss" if kept is None else "hit"] += 1
        if kept is None:
            self._keeping = Keeping(cache, key, now_s)
        return kept

    def _give(self, kept: Kept, wishes: Wishes) -> None:
        """Give an answer again; the call is closed as one that cost nothing."""
        service, dialect = self._service, self._admitted.upstream.dialect
        headers = kept.headers
        if not dict(headers).get(b"content-type", b"").lower().startswith(dialect.stream_types):
            headers = [*headers, (b"content-length", b"%d" % len(kept.body))]
        age_s = max(0, int(service.wheel.now - kept.kept_at_s))
        self._answer = answer = WishedAnswer(
            _OK, headers, call_id=self._call_id, is_head=self.is_head,
            is_http_10=self.is_http_10,
            keep_alive=self.keep_alive and self._is_body_complete and not service.is_draining,
            hides_usage=False, dialect=dialect,
            lines=b"%b%b: hit\r\nage: %d\r\n" % (self._head_lines, CACHE, age_s),
            costs=service.costs if wishes.cost else None, kept=kept,
        )  # fmt: skip
        self.keep_alive = not answer.closes
        if answer.is_event_stream:
            service.metrics.open_streams += 1
        self._first_token_ns = clock.monotonic_ns() - self._started_ns
        self._close(Status.OK, is_billable=False)
        self._held = answer.take(is_complete=True)
        service.turn.then(self._release_close)


def _owner(
    identity: Identity, caller: Caller | None, *, is_per_user: bool
) -> tuple[str, ...] | None:
    """Return whose answers may be given again; never anybody's where no tenant is known.

    A caller's own provider key is judged by the provider only. Whoever sends one can name any
    tenant, so an answer is given again only to the key that it was first given to.
    """
    tenant, user = identity.tenant_id, identity.user_id
    if tenant is None or (is_per_user and user is None):
        return None
    is_known = caller is not None and caller.binding is not None
    key = "" if is_known else f"key {identity.api_key_id}"
    return (tenant, (user or "") if is_per_user else "", key)
