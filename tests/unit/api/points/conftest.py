import pytest

from tests.unit.api.points.kept import ROOM, Timely


@pytest.fixture
def make(tmp_path):
    made = []

    def opened(most_bytes=ROOM):
        made.append(Timely(tmp_path / "api" / "points.db", most_bytes=most_bytes))
        return made[-1]

    yield opened
    for store in made:
        store.close()
