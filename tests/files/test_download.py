"""Downloads from a real server on this machine that misbehaves as servers do."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seg.errors import ArtifactError
from seg.files import download
from seg.files.download import fetch

BODY = bytes(range(256)) * 8192  # 2 MiB: three reads
HALF = len(BODY) // 2
DIGEST = hashlib.sha256(BODY).hexdigest()
# The machine's proxy settings have no say in a test on 127.0.0.1.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Server(ThreadingHTTPServer):
    """Serves BODY; attributes make it misbehave."""

    daemon_threads = False
    ranges = True
    cut_after = None  # bytes of the first answer; the rest is never sent
    statuses = ()  # answered to the first requests instead of the file
    wrong_start = 0
    length = None  # announced in place of the true one; "" announces none
    surplus = b""  # sent behind the file
    hold = None  # an event that the second half of the first answer waits for

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}/weights.pth"

    def handle_error(self, request, client_address):
        """Says nothing: clients that refuse a file hang up on it."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.server.statuses:
            status, *self.server.statuses = self.server.statuses
            return self.send_error(status)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if wanted and self.server.ranges:
            if start >= len(BODY):
                return self.send_error(416)
            self.send_response(206)
            first = start + self.server.wrong_start
            self.send_header("Content-Range", f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")
        else:
            start = 0
            self.send_response(200)
        if self.server.length != "":
            self.send_header("Content-Length", self.server.length or str(len(BODY) - start))
        self.end_headers()
        end, self.server.cut_after = self.server.cut_after, None
        hold, self.server.hold = self.server.hold, None
        if hold:
            self.wfile.write(BODY[start:HALF])
            start = HALF
            hold.wait()
        self.wfile.write(BODY[start:end] + self.server.surplus)


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "weights.pth"


def get(server, path, **kwargs):
    fetch(server.url, path, opener=direct, pauses_s=(0, 0, 0), **kwargs)


def left_over(path):
    return sorted(file.name for file in path.parent.iterdir())


def put_part(path, content):
    path.parent.mkdir()
    path.with_name("weights.pth.part").write_bytes(content)


def test_a_file_arrives_whole_under_its_name_only(server, path, capsys, caplog):
    get(server, path, size=len(BODY), sha256=DIGEST)
    assert path.read_bytes() == BODY
    assert left_over(path) == ["weights.pth"]
    assert server.asked == [None]
    assert caplog.messages == [f"Downloading {server.url}, 2.1 MB."]
    assert capsys.readouterr() == ("", "")


def test_a_cut_download_continues_where_it_stopped(server, path):
    server.cut_after = 700_000
    get(server, path, size=len(BODY), sha256=DIGEST)
    assert path.read_bytes() == BODY
    assert server.asked == [None, "bytes=700000-"]


def test_a_part_of_an_earlier_run_is_continued(server, path):
    put_part(path, BODY[:1000])
    get(server, path, sha256=DIGEST)
    assert path.read_bytes() == BODY
    assert server.asked == ["bytes=1000-"]


def test_a_server_without_ranges_starts_over(server, path):
    server.ranges = False
    put_part(path, b"x" * 1000)
    get(server, path, sha256=DIGEST)
    assert path.read_bytes() == BODY
    assert server.asked == ["bytes=1000-"]


def test_a_whole_part_is_only_checked(server, path):
    put_part(path, BODY)
    get(server, path, size=len(BODY), sha256=DIGEST)
    assert path.read_bytes() == BODY
    assert server.asked == []


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_part_that_is_too_long_is_thrown_away(server, path, size):
    put_part(path, BODY + b"x")
    get(server, path, size=size, sha256=DIGEST)
    assert path.read_bytes() == BODY
    assert server.asked[-1] is None


def test_a_server_that_always_cuts_leaves_the_part_and_one_line(server, path):
    server.cut_after = 500
    with pytest.raises(ArtifactError) as raised:
        fetch(server.url, path, opener=direct, pauses_s=())
    assert "\n" not in str(raised.value)
    assert f"the connection ended after 500 of {len(BODY)} bytes" in str(raised.value)
    assert path.with_name("weights.pth.part").read_bytes() == BODY[:500]


def test_a_wrong_digest_deletes_the_download_and_names_both(server, path):
    with pytest.raises(ArtifactError) as raised:
        get(server, path, sha256="0" * 64)
    message = str(raised.value)
    assert f"expected sha256 {'0' * 64}, got {DIGEST}" in message
    assert "Run it again" in message
    assert left_over(path) == []


def test_a_wrong_size_is_refused_before_the_download(server, path):
    with pytest.raises(ArtifactError, match=f"has {len(BODY)} bytes, expected 5"):
        get(server, path, size=5)
    assert left_over(path) == []


def test_a_file_that_is_not_there_is_asked_for_once(server, path):
    server.statuses = [404] * 4
    with pytest.raises(ArtifactError) as raised:
        get(server, path)
    assert str(raised.value) == (
        f"Cannot download {server.url}: the server says 404 Not Found. "
        f"To fetch it yourself, save it as {path}."
    )
    assert server.asked == [None]


def test_a_busy_server_is_asked_again(server, path):
    server.statuses = [503, 500, 429]
    get(server, path, sha256=DIGEST)
    assert path.read_bytes() == BODY
    assert len(server.asked) == 4


def test_a_server_that_continues_elsewhere_never_spoils_the_part(server, path):
    server.wrong_start = 7
    put_part(path, BODY[:1000])
    with pytest.raises(ArtifactError, match="continues at another place"):
        get(server, path)
    assert path.with_name("weights.pth.part").read_bytes() == BODY[:1000]


def test_without_a_network_one_line_says_what_to_do(path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/weights.pth"
        waited = []
        with pytest.raises(ArtifactError) as raised, pytest.MonkeyPatch.context() as patch:
            patch.setattr(download.time, "sleep", waited.append)
            fetch(url, path, opener=direct)
    message = str(raised.value)
    assert message.startswith(f"Cannot download {url}: Connection refused. ")
    assert message.endswith(f"To fetch it yourself, save it as {path}.")
    assert waited == [0.5, 1.0, 2.0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always-full device")
def test_a_full_disk_is_not_taken_for_a_fault_of_the_network(server, path):
    path.parent.mkdir()
    part = path.with_name("weights.pth.part")
    part.symlink_to("/dev/full")
    server.cut_after = 100  # so little that it would wait in a buffer
    with pytest.raises(ArtifactError) as raised:
        get(server, path)
    assert str(raised.value).startswith(f"Cannot write {part}: No space left on device. Make room")
    assert server.asked == [None]


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "cache").write_text("a file, no folder")
    with pytest.raises(ArtifactError, match=r"Cannot write .*cache.weights\.pth: File exists"):
        get(server, tmp_path / "cache" / "weights.pth")
    assert server.asked == []


def test_ctrl_c_leaves_what_was_downloaded_for_the_next_time(server, path):
    class Interrupted:
        def __init__(self, response):
            self.status, self.headers, self.close = (
                response.status,
                response.headers,
                response.close,
            )
            self.answers = [response.read(1000)]

        def read(self, _):
            if not self.answers:
                raise KeyboardInterrupt
            return self.answers.pop()

    with pytest.raises(KeyboardInterrupt):
        fetch(server.url, path, opener=lambda *a, **k: Interrupted(direct(*a, **k)))
    assert path.with_name("weights.pth.part").read_bytes() == BODY[:1000]
    get(server, path, sha256=DIGEST)
    assert path.read_bytes() == BODY
    assert server.asked == [None, "bytes=1000-"]


def test_a_silent_server_is_given_up(path):
    def opener(request, timeout):
        assert timeout == 30
        raise TimeoutError("timed out")

    with pytest.raises(ArtifactError, match=r"Cannot download http://nowhere/w: timed out\."):
        fetch("http://nowhere/w", path, opener=opener, pauses_s=(0,))


@pytest.mark.parametrize("length", ["-5", "1e6", "12,12", "٣"])
def test_a_length_that_cannot_be_is_an_error_that_quotes_it(server, path, length):
    server.length = length.encode().decode("latin-1")
    with pytest.raises(ArtifactError) as raised:
        get(server, path)
    assert f"the server names an impossible length, {server.length!r}. " in str(raised.value)
    assert left_over(path) == []


def test_a_length_that_is_not_announced_is_no_fault(server, path):
    server.length = ""
    get(server, path)
    assert path.read_bytes() == BODY


def test_a_server_that_sends_more_than_the_file_has_is_cut_off(server, path):
    server.length, server.surplus = "", b"x" * 50_000_000
    asked = []

    class Counted:
        def __init__(self, response):
            self.status, self.headers, self.close = (
                response.status, response.headers, response.close,
            )  # fmt: skip
            self.read = lambda amount: asked.append(amount) or response.read(amount)

    with pytest.raises(ArtifactError, match=rf"sends more than the {len(BODY)} bytes of this file"):
        fetch(server.url, path, size=len(BODY), opener=lambda *a, **k: Counted(direct(*a, **k)))
    assert sum(asked) <= len(BODY) + 2 * download.CHUNK
    assert left_over(path) == []


FETCH = """
import logging, sys
from pathlib import Path
from seg.files.download import fetch

logging.basicConfig(level=logging.INFO)
fetch(sys.argv[1], Path(sys.argv[2]))
"""


@pytest.fixture
def start(server, path):
    """Starts a process that downloads the file."""
    running = []

    def once():
        process = subprocess.Popen(
            [sys.executable, "-c", FETCH, server.url, str(path)],
            env=os.environ | {"no_proxy": "*"},
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield once
    for process in running:
        process.kill()
        process.communicate()


def wait_for_half(path):
    part = path.with_name("weights.pth.part")
    while not part.exists() or part.stat().st_size < HALF:
        time.sleep(0.01)


@pytest.mark.parametrize("is_killed", [False, True])
def test_two_processes_download_one_file_once(server, path, start, is_killed):
    server.hold = hold = threading.Event()
    first = start()
    wait_for_half(path)
    second = start()
    line = second.stderr.readline()
    assert "Another process writes" in line and "weights.pth.part; waiting" in line
    if is_killed:
        first.kill()
    hold.set()
    codes = [process.wait(30) for process in (first, second)]
    assert codes == [-signal.SIGKILL if is_killed else 0, 0]
    assert server.asked == [None, f"bytes={HALF}-"][: 1 + is_killed]
    assert path.read_bytes() == BODY and left_over(path) == ["weights.pth"]


def test_many_processes_at_once_leave_one_whole_file(server, path, start):
    processes = [start() for _ in range(4)]
    assert [process.wait(30) for process in processes] == [0] * 4
    assert path.read_bytes() == BODY and left_over(path) == ["weights.pth"]
