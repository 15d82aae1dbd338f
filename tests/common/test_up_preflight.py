"""What is checked before anything starts."""

import socket
from pathlib import Path

import pytest

from common.errors import DhmonError, UsageError
from common.listening import reachable
from common.settings import CollectorSettings, Settings, UpSettings, WebSettings
from common.up.preflight import check_addresses, check_data_folder, is_answered
from tests.servers.ports import free_ports


def settings(*, collector: int, web: int, prometheus: int = 29090) -> Settings:
    return Settings(
        collector=CollectorSettings(listen=f"127.0.0.1:{collector}"),
        web=WebSettings(listen=f"127.0.0.1:{web}"),
        up=UpSettings(prometheus=f"127.0.0.1:{prometheus}"),
    )


def test_a_data_folder_is_made(tmp_path: Path) -> None:
    check_data_folder(tmp_path / "some" / "where")

    assert (tmp_path / "some" / "where").is_dir()
    assert list((tmp_path / "some" / "where").iterdir()) == []


def test_a_data_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DhmonError) as caught:
        check_data_folder(tmp_path / "file" / "data")

    assert caught.value.what == f"the data folder {tmp_path}/file/data"
    assert "collector.data" in caught.value.remedy


def test_free_addresses_pass_and_stay_free() -> None:
    collector, web = free_ports(2)

    check_addresses(settings(collector=collector, web=web))

    assert not is_answered(f"127.0.0.1:{collector}")


@pytest.mark.parametrize("key", ["collector", "web"])
def test_an_address_that_is_taken_is_named_with_its_key(key: str) -> None:
    [free] = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = {"collector": free, "web": free} | {key: taken}

        with pytest.raises(DhmonError) as caught:
            check_addresses(settings(**ports))

    assert caught.value.what == f"{key}.listen = 127.0.0.1:{taken}"
    assert caught.value.exit_code == 1
    assert f"set {key}.listen to another address" in caught.value.remedy


@pytest.mark.parametrize("key", ["collector", "web", "prometheus"])
def test_every_part_needs_a_port_that_the_others_know(key: str) -> None:
    collector, web, prometheus = free_ports(3)
    ports = {"collector": collector, "web": web, "prometheus": prometheus} | {key: 0}

    with pytest.raises(UsageError, match="the other parts could not find it"):
        check_addresses(settings(**ports))


@pytest.mark.parametrize("key", ["web", "prometheus"])
def test_two_parts_cannot_have_the_same_port(key: str) -> None:
    collector, web, prometheus = free_ports(3)
    ports = {"collector": collector, "web": web, "prometheus": prometheus} | {key: collector}

    with pytest.raises(UsageError, match=r"collector\.listen has that port too"):
        check_addresses(settings(**ports))


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("[::]:8080", "[::1]:8080"),
        ("monitor.example:80", "monitor.example:80"),
    ],
)
def test_all_interfaces_are_reached_over_loopback(listen: str, address: str) -> None:
    assert reachable(listen) == address
