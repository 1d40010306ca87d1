"""One connection, whatever its client does: who waits for whom, and until when."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import Draining, RequestTimeout, ServiceError
from service.http.arrivals import Phase
from service.http.closing import LINGER_BYTES, Watch, untaken
from service.http.config import Config
from service.http.reading import Reading


class Connection(Reading):
    """Has the requests of a connection answered, in their order.

    A client that stalls is waited for as long as arrivals say. One that shuts down its sending half
    still has its answers.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.arrivals = config.arrivals
        self.expected: Phase | None = None
        # The request that is being answered; those in `pipeline` wait for their turn, and `cycle`
        # is the latest of all.
        self.running: RequestResponseCycle | None = None
        self.refused, self.discarded = False, 0
        self.untaken = 0
        self.watch: Watch | None = None

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        super().connection_made(transport)
        self._expect(Phase.HEADER)

    def data_received(self, data: bytes) -> None:
        """Read; have answered what is whole, refuse what never will be."""
        if self._is_ending():
            self.discarded += len(data)
            if self.discarded > LINGER_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        self.feed(data)
        self._wait()

    # Asyncio asks for a bool, and uvicorn's class promises none.
    def eof_received(self) -> Any:
        """The client sends no more. Whether it may still wait for an answer."""
        if self._is_ending() or self.phase is not Phase.IDLE or not self._is_answering():
            return False
        self.cycle.keep_alive = False
        self.watch = Watch(self.transport, self.loop, lambda: self.running)
        return True

    def pause_writing(self) -> None:
        """The client is slow to take its answer."""
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        """Go on writing: the client has taken most of the answer."""
        super().resume_writing()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works on an answer."""
        self.arrivals.arrived(self)
        self.pipeline.clear()
        if self.watch is not None:
            self.watch.end()
        if self.running is not None and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()
        super().connection_lost(exc)

    # What the parser and the answers tell.

    def on_message_begin(self) -> None:
        """Wait for this request as long as for any."""
        super().on_message_begin()
        self.expected = None

    def begin(self, cycle: RequestResponseCycle) -> None:
        """Have a request answered, after those before it."""
        is_answering, self.cycle = self._is_answering(), cycle
        if is_answering:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            self._start_asgi_task(cycle, self.app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Turn to the next request, if this was not the last."""
        if not self.sending.is_closing():
            super().on_response_complete()
        self._wait()

    def refuse(self, error: ServiceError) -> None:
        """Answer the request that arrives with a problem, in its turn, and close."""
        self.refused = True
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.phase is not Phase.BODY:
            self.begin(self.refusal(error))
        elif not self.cycle.response_started:
            self.cycle.scope["state"]["refusal"] = error
            self.cycle.message_event.set()
        self.cycle.keep_alive = False
        if self.cycle.response_complete:
            self.sending.close()
        self._wait()

    # What arrivals tell.

    def has_moved(self) -> bool:
        """Whether more of an answer was taken since asked last."""
        if self.expected is not Phase.ANSWER:
            return False
        before, self.untaken = self.untaken, untaken(self.transport)
        return self.untaken < before

    def give_up(self, how: str) -> None:
        """Wait no longer: for the rest of a request, which is refused, or for anything else."""
        if self.expected is Phase.ANSWER:
            self.transport.abort()
        elif self.phase is Phase.IDLE:
            self._end()
        else:
            reason = f"the {self.phase.value} of the request did not arrive {how}"
            self.refuse(RequestTimeout(reason))

    def drain(self, error: Draining) -> None:
        """Refuse the request whose body is still arriving, if there is one."""
        if self.phase is Phase.BODY and not self.cycle.response_complete:
            self.refuse(error)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, because no other request has come in time."""
        self._end()

    def _end(self) -> None:
        """Close an idle connection; what has not been taken by now never will be."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _wait(self) -> None:
        """Have arrivals wait for what the client owes, unless it is it who waits."""
        is_sent = not self.transport.get_write_buffer_size()
        if self.flow.write_paused or (self.sending.is_closing() and not is_sent):
            self._expect(Phase.ANSWER)
        elif self._is_ending():
            self.arrivals.arrived(self)
        elif self.phase is Phase.BODY and self.running is self.cycle:
            self._expect(Phase.BODY)
        elif self._is_answering():
            self.expected = None
            self.arrivals.arrived(self)
        else:
            self._expect(self.phase)

    def _expect(self, phase: Phase) -> None:
        if phase is not self.expected:
            self.expected = phase
            if phase is Phase.ANSWER:
                self.untaken = untaken(self.transport)
            self.arrivals.expect(self, phase, self.loop.time())

    def _is_ending(self) -> bool:
        return self.refused or self.sending.is_closing()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
