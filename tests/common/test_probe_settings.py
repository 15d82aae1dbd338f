"""Targets and servers that cannot be are refused before anything looks for them."""

import pytest
from pydantic import ValidationError

from common.probe_settings import DnsProbe, HttpProbe


@pytest.mark.parametrize(
    "target", ["http://shop:99999/", "http://shop:x/", "http://:80/", "http://[::1", "http://a:0/"]
)
def test_a_url_that_names_no_host_or_port_is_refused(target: str) -> None:
    with pytest.raises(ValidationError, match="target"):
        HttpProbe.model_validate({"name": "x", "type": "http", "target": target})


@pytest.mark.parametrize("target", ["http://[::1]:80/", "https://me:pw@shop.example/a?b=c#d"])
def test_a_url_of_a_host_is_accepted(target: str) -> None:
    probe = HttpProbe.model_validate({"name": "x", "type": "http", "target": target})

    assert probe.target == target


@pytest.mark.parametrize("server", ["dns:x", "1.2.3.4:99999", "[::1", "::1:x", ""])
def test_a_dns_server_that_cannot_be_is_refused(server: str) -> None:
    with pytest.raises(ValidationError, match="server"):
        DnsProbe.model_validate({"name": "x", "type": "dns", "target": "a", "server": server})


@pytest.mark.parametrize("server", ["::1", "[::1]:5353", "127.0.0.1", "dns.example:53"])
def test_a_dns_server_may_stand_without_its_port(server: str) -> None:
    probe = DnsProbe.model_validate({"name": "x", "type": "dns", "target": "a", "server": server})

    assert probe.server == server
