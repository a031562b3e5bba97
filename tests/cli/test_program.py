"""How a command ends: exit codes, one line for an error, and no traceback ever."""

import os
import signal
import subprocess
import sys

import pytest

from seg import cli
from seg.errors import SourceError

only_posix = pytest.mark.skipif(sys.platform == "win32", reason="about POSIX signals and files")
ENDS = [
    (signal.SIGINT, 130, "interrupted\n"),
    (signal.SIGTERM, 143, "terminated\n"),
    (signal.SIGHUP, 129, "hung up\n"),
]
# What a command says when it is ready to be stopped, and what it does until then.
WAITS = """
import pathlib, sys, time
from seg import cli
def main(argv):
    try:
        print("ready", flush=True)
        time.sleep(20)
    finally:
        print("ending", flush=True)
        time.sleep(float(sys.argv[1]))
        pathlib.Path("kept").write_text("all of it")
raise SystemExit(cli.run(main))
"""
SAYS = """
import sys
from seg import cli
def main(argv):
    print("result " * int(sys.argv[1]))
    return 0
raise SystemExit(cli.run(main))
"""


def start(code, *words, cwd, **options):
    command = [sys.executable, "-c", code, *map(str, words)]
    pipe = subprocess.PIPE
    # Unbuffered, print() fails itself.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    defaults = {"text": True, "stdout": pipe, "stderr": pipe, "env": environment}
    return subprocess.Popen(command, cwd=cwd, **{**defaults, **options})


@only_posix
@pytest.mark.parametrize(("number", "code", "said"), ENDS)
def test_a_signal_ends_a_command_with_its_code_and_one_word(tmp_path, number, code, said):
    with start(WAITS, 0, cwd=tmp_path) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.communicate(timeout=20)[1] == said
    assert child.returncode == code and (tmp_path / "kept").exists()


@only_posix
def test_a_second_signal_does_not_disturb_the_end(tmp_path):
    with start(WAITS, 0.3, cwd=tmp_path) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "ending\n"
        child.send_signal(signal.SIGTERM)
        assert child.communicate(timeout=20)[1] == "interrupted\n"
    assert child.returncode == 130 and (tmp_path / "kept").read_text() == "all of it"


@only_posix
def test_the_third_signal_ends_at_once(tmp_path):
    with start(WAITS, 20, cwd=tmp_path) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "ending\n"
        for number in (signal.SIGTERM, signal.SIGINT):  # one of a kind may be pending
            child.send_signal(number)
        assert child.communicate(timeout=10)[1] == ""
    assert child.returncode in (130, 143) and not (tmp_path / "kept").exists()


@only_posix
def test_an_import_that_turns_a_signal_into_its_own_error_is_no_traceback(tmp_path):
    """As numpy and ONNX Runtime do."""
    code = WAITS.replace(
        "    finally:", "    except KeyboardInterrupt:\n        raise ImportError(1)\n    finally:"
    )
    with start(code, 0, cwd=tmp_path) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        assert child.communicate(timeout=20)[1] == "terminated\n"
    assert child.returncode == 143


@pytest.mark.parametrize("module", ["seg", "seg.cli"])
def test_a_command_starts_without_numpy(module):
    code = (
        f"import sys, {module}\nprint(sorted({{'numpy', 'cv2', 'torch', 'av'}} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"


@only_posix
def test_what_nohup_ignores_stays_ignored(tmp_path):
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with start(WAITS, 0, cwd=tmp_path, preexec_fn=ignore) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)
        child.send_signal(signal.SIGTERM)
        assert child.communicate(timeout=20)[1] == "terminated\n"


def test_handlers_are_given_back_where_the_process_goes_on():
    before = {number: signal.getsignal(number) for number, _, _ in ENDS}
    inside = []
    assert cli.run(lambda argv: inside.append(signal.getsignal(signal.SIGINT)) or 0, []) == 0
    assert before == {number: signal.getsignal(number) for number, _, _ in ENDS}
    assert inside[0] != before[signal.SIGINT]


@only_posix
@pytest.mark.parametrize("number", [1, 100_000])
def test_a_reader_that_goes_away_is_one_line(tmp_path, number):
    ours, theirs = os.pipe()
    os.close(ours)
    with start(SAYS, number, cwd=tmp_path, stdout=theirs) as child:
        os.close(theirs)
        error = child.communicate(timeout=20)[1]
    assert child.returncode == 1
    assert error.startswith("error: ") and error.endswith("Broken pipe.\n")
    assert error.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("words", [[1], [1, "--help"]])
def test_a_full_standard_output_is_one_line(tmp_path, words):
    code = SAYS.replace(
        "main(argv):\n", "main(argv):\n    cli.parser('x').parse_args(sys.argv[2:])\n"
    )
    with open("/dev/full", "w") as full, start(code, *words, cwd=tmp_path, stdout=full) as child:  # noqa: PTH123
        error = child.communicate(timeout=20)[1]
    assert error == "error: Cannot write to standard output: No space left on device.\n"
    assert child.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_a_full_standard_output_without_a_buffer_is_one_line(tmp_path):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        open("/dev/full", "w") as full,  # noqa: PTH123
        start(SAYS, 1, cwd=tmp_path, stdout=full, env=environment) as child,
    ):
        assert child.communicate(timeout=20)[1] == "error: No space left on device.\n"
    assert child.returncode == 1


@only_posix
def test_a_current_folder_that_is_gone_is_one_line(tmp_path):
    code = WAITS.replace("time.sleep(20)", "pathlib.Path('x').resolve()").replace(
        "finally", "except ValueError"
    )
    gone = tmp_path / "gone"
    gone.mkdir()
    with start(f"import os; os.rmdir({str(gone)!r})\n{code}", 0, cwd=gone) as child:
        error = child.communicate(timeout=20)[1]
    assert error == "error: The current folder is not there any more; change into another one.\n"
    assert child.returncode == 1


def test_our_errors_and_the_systems_are_one_line(capsys, tmp_path):
    def ours(argv):
        raise SourceError("There is no camera.")

    def systems(argv):
        (tmp_path / "none").read_text()

    assert cli.run(ours, []) == cli.run(systems, []) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: There is no camera.",
        f"error: {tmp_path / 'none'}: No such file or directory.",
    ]


def test_what_the_library_says_is_a_line_on_stderr_and_shown_once(capsys):
    import logging

    def main(argv):
        log = logging.getLogger("dinoseg")
        log.info("fitted into %sx%s", 640, 480)
        log.warning("slow")
        log.debug("not shown")
        return 0

    assert cli.run(lambda argv: cli.run(main, argv), []) == 0
    assert capsys.readouterr() == ("", "fitted into 640x480\nwarning: slow\n")


@only_posix
def test_names_of_any_bytes_can_be_printed(tmp_path):
    code = "from seg import cli\nraise SystemExit(cli.run(lambda argv: print('caf\\udce9') or 0))"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    with start(code, cwd=tmp_path, text=False, env=environment) as child:
        assert child.communicate(timeout=20) == (b"caf\xe9\n", b"")
