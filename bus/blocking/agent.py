"""An agent on the bus, for code that is not async."""

from typing import TYPE_CHECKING, Any

from bus.agents.agent import Agent as AsyncAgent
from bus.agents.presence import Presence
from bus.agents.state import AgentState
from bus.errors import PresenceLost

from .consumer import Inbox
from .gathering import Gathering
from .hold import Hold
from .queue import Queue
from .through import Noun, entering, making, through
from .topic import Topic

if TYPE_CHECKING:
    from .bus import Bus


class Agent(Noun[AsyncAgent]):
    """An agent that has joined: `with bus.join("scout", role="researcher") as agent: ...`.

    The heartbeat is the portal's: a thread that is busy does not let the agent die. Being taken
    over cannot cancel a thread: `check` and leaving the block raise `PresenceLost`, and iterating
    over the inbox ends.

    Attributes:
        bus: The bus it is on.
        id: The agent's id.
        presence: Its record: id, instance, role, where it runs, since when.
        state: What it last said of itself.

    Example:
        writer: Agent
        with bus.join("writer", role="writer") as writer:
            agent.set_state(status="processing", activity="looks for work")
            agent.send("writer", Review("parser.py"))
            inbox: Inbox = writer.inbox(Review)
            with inbox.receive(timeout=5) as delivery:
                print(delivery.sender, delivery.body.path)  #> scout parser.py
    """

    def __init__(self, bus: "Bus", hold: Hold[AsyncAgent], over: AsyncAgent) -> None:
        super().__init__(bus, over)
        self.bus = bus
        self.id = over.id
        self._hold = hold
        self._inbox: Inbox | None = None

    @property
    def presence(self) -> Presence:
        return self.over.presence

    @property
    def instance(self) -> str:
        return self.over.instance

    @property
    def state(self) -> AgentState:
        return self.over.state

    def check(self) -> None:
        """Return only if this is the agent that is present, as far as this process knows.

        Raises:
            PresenceLost: another instance has taken its place, or its block has ended.
        """
        if isinstance(self._hold.failure, PresenceLost):
            raise self._hold.failure
        if self._hold.lost or self._hold.left:
            raise PresenceLost(f"agent {self.id} is no longer present here: this one must stop")

    # saying of itself

    set_state = through(AsyncAgent.set_state)
    progress = through(AsyncAgent.progress)

    # to others

    topic = making(AsyncAgent.topic, Topic)
    queue = making(AsyncAgent.queue, Queue)
    send = through(AsyncAgent.send)
    send_any = through(AsyncAgent.send_any)
    send_all = through(AsyncAgent.send_all)
    request = through(AsyncAgent.request)
    gather = through(AsyncAgent.gather)
    gathering = entering(AsyncAgent.gathering, Gathering)

    # hearing

    def inbox(self, *body_types: Any, prefetch: int | None = None) -> Inbox:
        """The messages that others sent to this agent, until it leaves: iterate over it.

        Args:
            body_types: Types of the bodies, told apart by their names; bodies of other types come
                as plain data.
            prefetch: Most deliveries read ahead, from the first reading on: by default 100, or none
                where several instances share the inbox, so that whoever is idle gets the next one.
        """
        over = self.over.inbox(*body_types, prefetch=prefetch)
        if self._inbox is None:
            self._inbox = Inbox(self._bus, self._hold, over)
        return self._inbox
