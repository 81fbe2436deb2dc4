"""San Francisco."""

from transforms.address.scoring import Measure


def sanfrancisco() -> tuple[str, list[Measure], str]:
    return "San Francisco", [], ""
