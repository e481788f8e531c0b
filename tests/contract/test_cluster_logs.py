"""What every cluster gives of what its replicas wrote."""

import pytest

from libs.common.errors import BadRequest, CannotApply
from tests.contract.test_cluster import ids, started
from tests.support.clusters import DEPLOYMENT, all_run, workload
from tests.support.log_lines import read_lines
from tests.support.polling import eventually


async def lines(world, **kwargs):
    return await read_lines(world.cluster, DEPLOYMENT, **kwargs)


async def messages(world, **kwargs):
    return [line.message for line in await lines(world, **kwargs)]


async def write_and_read(world, replica_id, line):
    await world.write(replica_id, line)

    async def is_read():
        return line in await messages(world)

    await eventually(is_read)


async def test_logs_come_in_order_and_resume_after_any_line(world):
    one, two = ids(await started(world, 2))
    for replica_id, line in [(one, "first"), (two, "second"), (one, "third")]:
        await write_and_read(world, replica_id, line)

    whole = await lines(world)
    assert [(line.replica_id, line.message) for line in whole] == [
        (one, "first"),
        (two, "second"),
        (one, "third"),
    ]
    assert [line.id for line in whole] == sorted({line.id for line in whole})
    assert [line.written_at for line in whole] == sorted(line.written_at for line in whole)
    for position, line in enumerate(whole):
        assert await lines(world, after=line.id) == whole[position + 1 :]
    assert await messages(world, replica_id=one) == ["first", "third"]
    assert await messages(world, replica_id=one, after=whole[0].id) == ["third"]


async def test_logs_go_on_over_a_restart(world):
    (replica,) = await started(world)
    await write_and_read(world, replica.replica_id, "before")
    await world.exit(replica.replica_id, status=1)
    await world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    await write_and_read(world, replica.replica_id, "after")
    assert await messages(world) == ["before", "after"]


async def test_a_gone_replicas_last_words_stay(world):
    if not world.cluster.abilities.keeps_last_words:
        pytest.skip("this cluster keeps nothing of what is gone: see the test of last words")
    (replica,) = await started(world)
    await write_and_read(world, replica.replica_id, "last words")
    leaving = [replica.replica_id]
    await world.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=2)
    await world.until(lambda shown: not shown)
    assert await messages(world) == ["last words"]


async def test_a_foreign_line_id_is_refused(world):
    await started(world)
    with pytest.raises(BadRequest):
        await lines(world, after="yesterday")


async def heard(world, replica_id, *, ends_within_s=0.0):
    words = world.cluster.last_words(DEPLOYMENT, replica_id, most_bytes=1_000, ends_within_s=ends_within_s)
    return [[line.message for line in each.lines] async for each in words]


async def test_the_end_of_what_a_replica_wrote_is_given_where_it_does_not_stay(world):
    (replica,) = await started(world)
    for number in range(30):
        await world.write(replica.replica_id, f"line {number}")
    if world.cluster.abilities.keeps_last_words:
        with pytest.raises(CannotApply):
            await heard(world, replica.replica_id)
        return
    (last,) = await heard(world, replica.replica_id)
    assert last == [f"line {number}" for number in range(30 - len(last), 30)]
    assert 20 < len(last) < 30
    first, second = await heard(world, replica.replica_id, ends_within_s=0.1)
    assert first == second == last
    assert await heard(world, "no-such-replica") == []


async def test_a_page_of_logs_says_whether_there_are_more(world):
    (replica,) = await started(world)
    for number in range(9):
        await write_and_read(world, replica.replica_id, f"line {number}")
    for newest_first in (False, True):
        page = await world.cluster.logs(DEPLOYMENT, limit=4, newest_first=newest_first)
        assert (len(page.lines), page.has_more) == (4, True)
        after = page.lines[-1].id
        page = await world.cluster.logs(DEPLOYMENT, limit=5, newest_first=newest_first, after=after)
        assert (len(page.lines), page.has_more, page.unreadable) == (5, False, ())
    assert (await world.cluster.logs("no-such-deployment", limit=5)).lines == ()
