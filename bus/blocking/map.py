"""Shared maps, for code that is not async."""

from typing import TYPE_CHECKING, Any, TypeVar

from bus.maps.entry import MapChange, MapSnapshot
from bus.maps.map import Map as AsyncMap
from bus.maps.watch import Watch as AsyncWatch

from .hold import Hold
from .pull import Pull
from .through import Noun, each, entering, through

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")


class Watch(Pull[MapSnapshot[T] | MapChange[T]]):
    """The items of a watch, until its block ends: iterate over it, in one thread.

    Made by `Map.watch`.

    Attributes:
        position: Behind the last item that was taken: `Map.watch(after=...)` goes on from it.

    Example:
        plan = bus.map("plan", str)
        watch: Watch[str]
        with plan.watch() as watch:
            snapshot: MapSnapshot[str] = next(watch)
            plan.put("step-1", "dig")
            change = watch.receive(timeout=5)
            print(dict(snapshot.entries), change.kind, change.entry.value)  #> {} put dig
    """

    def __init__(self, bus: "Bus", hold: Hold[Any], over: AsyncWatch[T]) -> None:
        self.position = over.position
        super().__init__(bus.portal, over.__anext__, hold)

    def receive(self, timeout: float | None = None) -> MapSnapshot[T] | MapChange[T]:
        item = super().receive(timeout)
        self.position = item.position
        return item


class Map(Noun[AsyncMap[T]]):
    """A named map from text to values of one type. Made by `Bus.map`.

    plan = bus.map("plan", Step)
    entry = plan.put("step-3", Step("dig"), if_version=ABSENT)  # StaleVersion: another was first
    with plan.watch() as changes:  # a snapshot, then every change
        for item in changes: ...

    Example:
        plan: Map[str] = bus.map("plan", str, sender="scout")
        first = plan.put("step-1", "dig", if_version=ABSENT)
        plan.put("step-1", "dig deeper", if_version=first.version, ttl=3600)
        print(plan.get("step-1").value)  #> dig deeper
    """

    @property
    def name(self) -> str:
        return self.over.name

    get = through(AsyncMap[T].get)
    put = through(AsyncMap[T].put)
    delete = through(AsyncMap[T].delete)
    entries = each(AsyncMap[T].entries)
    list = through(AsyncMap[T].list)
    watch = entering(AsyncMap[T].watch, Watch[T])
