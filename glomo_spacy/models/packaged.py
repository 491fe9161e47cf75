"""Where checkpoints are found: those that come with the package, by name, and any other by its directory."""

from pathlib import Path
from typing import Optional

from ..errors import Errors

PACKAGED = Path(__file__).parent.parent / "weights"


def find_weights(pretrained: Optional[str], *, packaged: Path = PACKAGED) -> Path:
    """The checkpoint directory of a packaged name or path; a packaged name wins over a folder of that name.

    pretrained (Optional[str]): A packaged name or a directory.
    packaged (Path): Where the packaged ones stand.
    RETURNS (Path): An existing directory.
    RAISES: ValueError G121 for None; FileNotFoundError G122 if there is no such directory.
    """
    if pretrained is None:
        raise ValueError(Errors.G121)
    for path in (packaged / pretrained, Path(pretrained)):
        if path.is_dir():
            return path
    raise FileNotFoundError(Errors.G122.format(value=pretrained))
