"""A process is out of date when the code it runs has changed, and only then."""

import pytest

from libs.supervisor.preparation import code_version


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "services" / "api").mkdir(parents=True)
    (tmp_path / "libs" / "common").mkdir(parents=True)
    (tmp_path / "libs" / "cli").mkdir()
    (tmp_path / "services" / "api" / "app.py").write_text("a = 1\n")
    (tmp_path / "libs" / "common" / "ids.py").write_text("b = 2\n")
    (tmp_path / "libs" / "cli" / "main.py").write_text("c = 3\n")
    return tmp_path


def test_the_same_code_has_the_same_version(checkout):
    before = code_version(checkout)
    (checkout / "services" / "api" / "app.py").touch()
    assert code_version(checkout) == before


@pytest.mark.parametrize("changed", ["services/api/app.py", "libs/common/ids.py", "services/api/new.py"])
def test_other_code_has_another_version(checkout, changed):
    before = code_version(checkout)
    (checkout / changed).write_text("changed = True\n")
    assert code_version(checkout) != before


def test_what_no_service_loads_does_not_count(checkout):
    before = code_version(checkout)
    (checkout / "libs" / "cli" / "main.py").write_text("changed = True\n")
    assert code_version(checkout) == before
