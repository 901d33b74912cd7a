"""What has to be closed in the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from types import TracebackType


class Closing(AbstractContextManager, ABC):  # type: ignore[type-arg]
    """A context manager that closes itself at the end of the block, and hides no error."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
