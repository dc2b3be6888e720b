"""What a stranger might send: a pickle that runs a command, a tarball that leads out, a bomb."""

import os
import pickle
from pathlib import Path


class Command:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def malicious(path: Path, mark: Path) -> Path:
    """A file that makes ``mark`` where it is unpickled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(Command(mark), protocol=2))
    return path
