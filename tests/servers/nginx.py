"""A real nginx with a site for each thing that probes look at."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import Certificates, Pair
from tests.servers.ports import free_ports
from tests.servers.process import program, running

CONFIG = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr notice;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  gzip_types application/json;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{plain};
    location = / {{ return 200 "open for business\\n"; }}
    location = /health {{
      default_type application/json;
      add_header X-Version "shop 1.2";
      return 200 '{{"status": "ok", "checks": [{{"name": "db", "up": true, "ms": 3}}]}}';
    }}
    location = /busy {{ return 503 "come back later\\n"; }}
    location = /once {{ return 302 /; }}
    location = /twice {{ return 301 /once; }}
    location = /loop {{ return 302 /loop; }}
    location = /secure {{ return 302 https://localhost:{good}/; }}
    location = /elsewhere {{ return 302 ftp://localhost/; }}
    location = /method {{ return 200 "$request_method $http_authorization\\n"; }}
    location = /see-other {{ return 303 /method; }}
    location = /keep-method {{ return 307 /method; }}
    location = /agent {{ return 200 "$http_user_agent|$http_accept_encoding|$http_host\\n"; }}
    location /files/ {{ alias {folder}/files/; }}
  }}
  {tls_servers}
}}
"""
TLS_SERVER = """
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    location = / {{ return 200 "open for business\\n"; }}
  }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """Ports on 127.0.0.1: one plain, the others with a certificate each."""

    plain: int
    good: int
    wrong_host: int
    expired: int
    self_signed: int
    unknown_ca: int

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.plain}{path}"


@contextmanager
def running_nginx(folder: Path, certificates: Certificates) -> Iterator[Nginx]:
    """nginx in the foreground, with its files under `folder`."""
    ports = Nginx(**dict(zip(Nginx.__slots__, free_ports(6), strict=True)))
    pairs = {
        ports.good: certificates.good,
        ports.wrong_host: certificates.wrong_host,
        ports.expired: certificates.expired,
        ports.self_signed: certificates.self_signed,
        ports.unknown_ca: certificates.unknown_ca,
    }
    (folder / "files").mkdir()
    (folder / "files" / "page.html").write_text("<p>a page</p>", encoding="utf-8")
    (folder / "files" / "huge").write_bytes(bytes(11 << 20))
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            plain=ports.plain,
            good=ports.good,
            tls_servers="".join(_tls_server(port, pair) for port, pair in pairs.items()),
        ),
        encoding="utf-8",
    )
    command = [program("nginx"), "-p", folder, "-c", config]
    with running(command, log=folder / "nginx.log", ready="start worker process"):
        yield ports


def _tls_server(port: int, pair: Pair) -> str:
    return TLS_SERVER.format(port=port, chain=pair.chain, key=pair.key)
