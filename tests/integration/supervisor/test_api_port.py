"""The api's port is the platform's for as long as it is up, whatever becomes of the api."""

import asyncio
import errno
import socket
from itertools import product

import pytest

from libs.common import loopback
from libs.common.log import reserve
from libs.supervisor.home import Home
from tests.support.polling import PATIENCE_S, eventually
from tests.support.sockets import tcp_doors

REQUEST = b"GET /v1/health HTTP/1.0\r\n\r\n"


def try_to_listen(port: int) -> str:
    """As a replica would, in every way and at every address: the error of the last, or `stolen`."""
    outcome = ""
    for host, option in product(loopback.hosts(), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
        family = socket.AF_INET6 if host == loopback.IPV6 else socket.AF_INET
        with socket.socket(family) as thief:
            thief.setsockopt(socket.SOL_SOCKET, option, 1)
            try:
                thief.bind((host, port))
                thief.listen()
                return "stolen"
            except OSError as error:
                outcome = errno.errorcode[error.errno or 0]
    return outcome


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_S)
    finally:
        writer.close()


async def kill_the_api_and_try(platform) -> set[str]:
    """What came of trying to listen from the api's death until another one answers."""
    # It may answer a moment before its pid is written.
    old = await eventually(lambda: platform.pid("api"))
    platform.send("api")
    await eventually(lambda: platform.pid("api") != old, every_s=0.001)
    outcomes = {try_to_listen(platform.api_port)}
    asking = asyncio.ensure_future(ask(platform.api_port))
    while not asking.done():
        outcomes.add(try_to_listen(platform.api_port))
        await asyncio.wait({asking}, timeout=0.001)
    assert b"HEALTHY" in await asking
    return outcomes


async def test_nobody_can_listen_there_while_the_api_is_away_and_clients_wait_for_it(lasting_platform):
    for _ in range(3):
        assert await kill_the_api_and_try(lasting_platform) == {"EADDRINUSE"}


async def test_nor_after_the_supervisors_death(lasting_platform):
    lasting_platform.send("supervisor")
    await lasting_platform.start_and_wait()
    assert await kill_the_api_and_try(lasting_platform) == {"EADDRINUSE"}


async def test_it_is_free_again_when_the_platform_is_down(platform):
    await platform.run("down")
    with socket.create_server(("127.0.0.1", platform.api_port)):
        pass


async def test_a_port_that_is_taken_is_refused_by_name(make_platform):
    platform = make_platform()
    with socket.create_server(("127.0.0.1", platform.api_port)):
        platform.start()
        assert await platform.wait() == 1
    assert f"port {platform.api_port} is in use" in platform.output
    assert not reserve.path_in(Home(platform.home).log_directory).exists(), "it keeps room for nothing"


@pytest.mark.parametrize("program", ["nats", "envoy"])
async def test_no_other_program_holds_the_socket(lasting_platform, program):
    """Or it would stay open behind a platform that is down."""
    pid = lasting_platform.pid(program)
    assert lasting_platform.api_port not in listening_of(pid)


def listening_of(pid: int) -> set[int]:

    return {port for _, port in tcp_doors([pid])}
