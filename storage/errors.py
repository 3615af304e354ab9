"""What can go wrong in storage: one hierarchy, every error naming what failed and what to do."""

from collections.abc import Mapping


class StorageError(Exception):
    """Base of every error that storage raises on purpose.

    Example:
        try:
            await mine.tasks.complete("no-such-task")
        except StorageError as error:  # whatever it is that went wrong, it says what to do
            print(type(error).__name__)  #> NotFound
    """


class InvalidValue(StorageError, ValueError):
    """A value that no table may hold.

    Attributes:
        field: The field that it was meant for.

    Example:
        try:
            await mine.memory.create_item(summary="", memory_type="knowledge")
        except InvalidValue as error:
            print(error.field)  #> summary
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class NotFound(StorageError, LookupError):
    """There is no such row, or not for whoever asks.

    Example:
        try:
            await mine.tasks.start("no-such-task")
        except NotFound:
            await mine.tasks.create_task(title="review the parser")
            print(len(await mine.tasks.ready()))  #> 1
    """


class CommandRefused(StorageError):
    """Commands of a batch break rules; nothing of the batch was applied.

    Attributes:
        index: Place in the batch of the first one.
        refused: Why, by place, for all that were found.

    Example:
        from storage.model.tasks import MoveTask
        from storage.model.values import now

        command = MoveTask(agent_id="scout", task_id="no-such-task", status="completed", at=now())
        try:
            await storage.apply([command])
        except CommandRefused as refused:  # leave those out, and apply the rest
            print(sorted(refused.refused))  #> [0]
    """

    def __init__(self, index: int, reason: str, refused: Mapping[int, str] | None = None) -> None:
        super().__init__(reason)
        self.index = index
        self.refused = dict(refused or {index: reason})


class FenceRefused(StorageError):
    """A writer whose lease another has taken over since: it must stop.

    Example:
        await storage.apply([], position=Position(0, "first", "5-0", fence=8))
        try:
            await storage.apply([], position=Position(0, "first", "6-0", fence=7))
        except FenceRefused:
            print("another sidecar writes this partition")  #> another sidecar writes this partition
    """


class DatabaseUnavailable(StorageError):
    """The database cannot be opened, read or written now: its disk, its lock, its server.

    Example:
        config = StorageConfig.load({"sqlite_path": "/dev/null/memory.db"})
        try:
            async with open_storage(config):
                print("never")
        except DatabaseUnavailable:
            print("is the disk there, and is it ours?")  #> is the disk there, and is it ours?
    """


class SchemaMismatch(StorageError):
    """The database's schema is newer than this program, was changed by another hand, or its vectors
    have another dimension than this process is set up for.

    Example:
        import sqlite3

        with sqlite3.connect(config.sqlite_path) as database:  # as a newer release would have it
            database.execute("INSERT INTO schema_migrations VALUES (99, 'later', '', '')")
        database.close()
        try:
            async with open_storage(config):
                print("never")
        except SchemaMismatch:
            print("update this program")  #> update this program
    """


class NotSupported(StorageError):
    """A backend that this release cannot open.

    Example:
        try:
            async with open_storage(StorageConfig.load({"backend": "dual"})):
                print("never")
        except NotSupported:
            print("sqlite or postgres, in this release")  #> sqlite or postgres, in this release
    """


class EmbeddingFailed(StorageError):
    """An embedder did not answer, or not with the vectors that were asked for.

    Example:
        from storage.embedding import EndpointEmbedder

        nobody = EndpointEmbedder("http://127.0.0.1:1", "nomic-embed-text", 768, attempts=1)
        try:
            await nobody.embed(["the parser is flaky"], kind="query")
        except EmbeddingFailed as error:
            print("nomic-embed-text" in str(error) or "127.0.0.1" in str(error))  #> True
    """


class MasterKeyMissing(StorageError):
    """What reads or writes secrets has no master key.

    Example:
        try:
            await mine.secrets.put("OPENAI_API_KEY", "sk-1234")
        except MasterKeyMissing:  # set ARGENTBUS_MASTER_KEY_FILE, or give `keyring=`
            print("no master key here")  #> no master key here
    """


class MasterKeyUnusable(StorageError):
    """The master key cannot be read, is open to others, or is no key.

    Example:
        from storage.secrets import Keyring

        try:
            Keyring(text="too short")
        except MasterKeyUnusable as error:
            print("64 hex digits" in str(error))  #> True
    """


class SecretRefused(StorageError):
    """A secret is not there, is disabled, or is not for whoever asks.

    Example:
        from storage.secrets import Keyring
        from storage.secrets.keyring import new_key

        storage.keyring = Keyring(text=new_key())
        try:
            await storage.scoped("writer").secrets.get("OPENAI_API_KEY")
        except SecretRefused:
            print("not for writer")  #> not for writer
    """


class SecretUnreadable(StorageError):
    """A secret was encrypted with another master key, or was changed since.

    Example:
        from storage.secrets import Keyring
        from storage.secrets.keyring import new_key

        sealed = Keyring(text=new_key()).seal("service_key:OPENAI_API_KEY", "sk-1234")
        try:
            Keyring(text=new_key()).unseal("service_key:OPENAI_API_KEY", sealed)
        except SecretUnreadable:
            print("of another key")  #> of another key
    """


class WritesLost(StorageError):
    """Redis lost the write log before the sidecar had committed it.

    Example:
        from bus import Bus
        from storage.client import StorageClient

        async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
            async with bus.join("scout") as agent:
                client = StorageClient(agent)
                await client.memory.create_item(summary="the test is flaky", memory_type="event")
                for key in await bus.link.call("KEYS", f"{bus.namespace}:*storage*"):
                    await bus.link.call("DEL", key)  # Redis loses its data
                try:
                    await client.flush(timeout=5)
                except WritesLost:
                    print("write it again")  #> write it again
    """
