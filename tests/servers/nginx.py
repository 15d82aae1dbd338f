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
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  ssl_ciphers DEFAULT@SECLEVEL=0;
  server {{
    listen 127.0.0.1:{plain};
    absolute_redirect off;
    location = / {{ return 200 "open for business\\n"; }}
    location = /health {{
      default_type application/json;
      add_header X-Version "shop 1.2";
      add_header X-Version "db 7";
      return 200 '{{"status": "ok", "checks": [{{"name": "db", "up": true, "ms": 3}}]}}';
    }}
    location = /busy {{ return 503 "come back later\\n"; }}
    location = /once {{ return 302 /; }}
    location = /twice {{ return 301 /once; }}
    location = /loop {{ return 302 /loop; }}
    location = /lost {{ return 304; }}
    location = /secure {{ return 302 https://localhost:{good}/; }}
    location = /elsewhere {{ return 302 ftp://localhost/; }}
    location = /absolute {{ return 302 http://127.0.0.1:{plain}/request; }}
    location = /other-name {{ return 302 http://localhost:{plain}/request; }}
    location = /see-other {{ return 303 /request; }}
    location = /keep-method {{ return 307 /request; }}
    location = /request {{
      return 200 "$request_method $http_host [$http_authorization] [$http_user_agent] $http_accept_encoding\\n";
    }}
    location /files/ {{
      alias {folder}/files/;
      gzip on;
      gzip_min_length 1;
    }}
  }}
  {tls_servers}
}}
"""  # noqa: E501 - nginx has no other way to write one line
TLS_SERVER = """
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols {protocols};
    ssl_certificate {chain};
    ssl_certificate_key {key};
    location = / {{ return 200 "open for business\\n"; }}
    location = /again {{ return 302 /; }}
  }}
"""
PAGE = "<p>a page, a page, a page, a page</p>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """Ports on 127.0.0.1: one plain, the others with a certificate each; `old` speaks TLS 1.1."""

    plain: int
    good: int
    chained: int
    wrong_host: int
    expired: int
    self_signed: int
    unknown_ca: int
    old: int

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.plain}{path}"


@contextmanager
def running_nginx(folder: Path, certificates: Certificates) -> Iterator[Nginx]:
    """nginx in the foreground, with its files under `folder`."""
    names = Nginx.__slots__
    ports = Nginx(**dict(zip(names, free_ports(len(names)), strict=True)))
    sites = [name for name in names if name not in ("plain", "old")]
    (folder / "files").mkdir()
    (folder / "files" / "page.html").write_text(PAGE, encoding="utf-8")
    (folder / "files" / "huge").write_bytes(bytes(11 << 20))
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            plain=ports.plain,
            good=ports.good,
            tls_servers="".join(
                _tls_server(getattr(ports, name), getattr(certificates, name)) for name in sites
            )
            + _tls_server(ports.old, certificates.good, "TLSv1.1"),
        ),
        encoding="utf-8",
    )
    command: list[str | Path] = [program("nginx"), "-p", folder, "-c", config]
    with running(command, log=folder / "nginx.log", ready="start worker process"):
        yield ports


def _tls_server(port: int, pair: Pair, protocols: str = "TLSv1.2 TLSv1.3") -> str:
    return TLS_SERVER.format(port=port, chain=pair.chain, key=pair.key, protocols=protocols)
