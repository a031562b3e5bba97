"""Running a command: its end becomes an exit code, and an error one line."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from seg.cli.logs import logging_to_stderr
from seg.cli.signals import Stopped, StopSignals
from seg.errors import SegError

OK, FAILED, INTERRUPTED = 0, 1, 130

log = logging.getLogger("dinoseg")


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Runs a command and turns its end into an exit code.

    0 done, 1 an error (one line, no traceback), 2 usage (argparse), 130 Ctrl-C, 143 SIGTERM,
    129 SIGHUP.

    Args:
        main: The command.
        argv: Its words; None takes the process's own, which ends afterwards.
    """
    with logging_to_stderr():
        try:
            with StopSignals(is_final=argv is None) as signals:
                return _run(main, argv, signals)
        except Stopped as stopped:
            log.info("%s", stopped)
            return 128 + stopped.number
        except KeyboardInterrupt:
            log.info("interrupted")
            return INTERRUPTED
        finally:
            _flush(sys.stderr)


def _run(
    main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None, signals: StopSignals
) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files may be any bytes
            stream.reconfigure(errors="surrogateescape")
    code = FAILED
    usage: SystemExit | None = None
    try:
        code = main(argv)
    except SegError as error:
        log.error("%s", error)
    except SystemExit as error:  # of argparse
        usage = error
    except OSError as error:
        log.error("%s", _explain(error))
    except Exception:
        if signals.received is None:
            raise
    if signals.received is not None:
        # An import that a signal interrupts may raise an error of its own instead.
        raise Stopped(signals.received)
    if reason := _flush(sys.stdout):
        log.error("Cannot write to standard output: %s.", reason)
        return FAILED
    if usage is not None:
        raise usage
    return code


def _explain(error: OSError) -> str:
    try:
        Path.cwd()
    except OSError:
        return "The current folder is not there any more; change into another one."
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}." if error.filename else f"{reason}."


def _flush(stream: object) -> str:
    """Flushes stdout or stderr; returns why that failed, and lets nothing fail after it."""
    try:
        stream.flush()  # type: ignore[attr-defined]
    except AttributeError:  # None: it was closed before Python started
        return ""
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):  # a test's stream has no number
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]
        return getattr(error, "strerror", None) or str(error)
    return ""
