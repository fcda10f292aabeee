"""One session, killed again and again, and what it was said to hold."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..emulator import Emulator, Fault, Server, faults
from ..emulator.faults import Faults
from .checks import Snapshot, key_of, orphans, pieced, same
from .child import AGENTS, Task
from .nursery import Nursery

EMPTY: Snapshot = {"messages": []}
PATIENCE = 60.0
"""Seconds: a process that has not told what it restored by then, or a service that is still at work, is a failure."""

CHOICES = (
    *[faults.latency(seconds) for seconds in (0.002, 0.005, 0.02)],
    *faults.HARSH,
    faults.rate_limited(None),
    faults.failing(504, html=True, runs=True),
)


@dataclass
class Figures:
    """What the trials came to."""

    kills: int = 0
    at_once: int = 0
    losses: int = 0
    doubles: int = 0
    orphans: int = 0
    other: int = 0
    requests: int = 0
    faults: Counter[str] = field(default_factory=lambda: Counter[str]())
    turns: int = 0
    restores: int = 0
    messages: int = 0
    surfaced: int = 0
    unfinished: int = 0
    complaints: list[str] = field(default_factory=lambda: [])

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return not self.complaints


class Deadly(Faults):
    """The faults of the service, and the kill of a process at a moment that no clock would hit.

    Attributes:
        countdown: Requests until the kill; 0 for none.
        pid: The process.
        runs: Whether the request that it dies of is carried out.
    """

    countdown = 0
    pid = 0
    runs = True

    def take(self, number: int, body: bytes = b"") -> Fault | None:
        if self.countdown:
            self.countdown -= 1
            if self.countdown == 0:
                os.kill(self.pid, signal.SIGKILL)
                return faults.cut_after_commit() if self.runs else faults.cut()
        return super().take(number, body)


class Host(Server):
    """The emulator, which can tell when it has nothing left to do."""

    def settle(self) -> None:
        """Wait until all that was sent by processes now dead has been dealt with."""
        # Connections are taken in order: once this one is, so are all that waited before it.
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as probe:
            probe.sendall(b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
            while probe.recv(4096):
                pass
        assert self._uvicorn is not None
        busy = self._uvicorn.server_state
        deadline = time.monotonic() + PATIENCE
        while busy.connections or busy.tasks:
            if time.monotonic() > deadline:
                raise RuntimeError("a request is never answered")
            time.sleep(0.001)


class Remote:
    """A database of the emulator."""

    def __init__(self, server: Host, seed: int) -> None:
        self.server = server
        self.emulator: Emulator = server.namespace()
        self.deadly = self.emulator.faults = Deadly()
        self._seeds = random.Random(seed)

    def task(self, quiet: bool) -> dict[str, Any]:
        """Where it is."""
        if quiet:
            self.deadly.clear()
        else:
            self.deadly.randomly(self._seeds.getrandbits(32), 0.2, CHOICES)
        return {"url": self.emulator.url, "token": self.emulator.token(), "database": self.emulator.name}

    @contextlib.contextmanager
    def sqlite(self) -> Iterator[sqlite3.Connection]:
        """Its file, once the service is through with what the dead have sent."""
        self.server.settle()
        with self.emulator.sqlite() as connection:
            yield connection


class Local:
    """A SQLite file."""

    deadly = None

    def __init__(self, path: Path) -> None:
        self.path = path

    def task(self, quiet: bool) -> dict[str, Any]:
        """Where it is."""
        return {"local": str(self.path)}

    @contextlib.contextmanager
    def sqlite(self) -> Iterator[sqlite3.Connection]:
        """A connection of one's own."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=30)) as connection:
            yield connection


@dataclass
class Held:
    """What an agent's session was said to hold.

    Attributes:
        stored: The snapshot last acknowledged.
        flying: Those sent since, which may be stored or not.
        transcript: The keys of the messages acknowledged, in order.
        coming: The keys of those sent since.
    """

    stored: Snapshot = field(default_factory=lambda: EMPTY)
    flying: list[tuple[int, Snapshot]] = field(default_factory=lambda: [])
    transcript: list[str] = field(default_factory=lambda: [])
    coming: list[tuple[int, str]] = field(default_factory=lambda: [])


class Trial:
    """One session."""

    def __init__(
        self, place: Remote | Local, nursery: Nursery, folder: Path, name: str, seed: int, figures: Figures
    ) -> None:
        self.place = place
        self.nursery = nursery
        self.folder = folder
        self.session_id = name
        self.choice = random.Random(seed)
        self.figures = figures
        self.held = {agent_id: Held() for agent_id in AGENTS}
        self.redacted: list[str] = []
        self.number = 1
        self.processes = 0
        self.last: Task | None = None

    def run(self, kills: int) -> None:
        """Kill as many processes, let one die in peace, and look at what is left."""
        before = self.figures.kills
        while self.figures.kills < before + kills:
            self.process(quiet=False)
        self.process(quiet=True)
        self.figures.messages += sum(len(held.transcript) for held in self.held.values())

    def process(self, *, quiet: bool) -> None:
        """One process from its start to its end, and the checks after it."""
        choice = self.choice
        self.processes += 1
        durability = choice.choice(["message"] * 4 + ["overlap", "invocation"])
        task = Task(
            diary=str(self.folder / f"{self.session_id}-{self.processes}.log"),
            session_id=self.session_id,
            durability=durability,
            seed=choice.getrandbits(32),
            first=self.number,
            turns=2 if quiet else 1000,
            large=not quiet and durability == "message" and choice.random() < 0.1,
            retries=40 if quiet or choice.random() < 0.8 else 1,
            **self.place.task(quiet),
        )
        self.number += 10_000
        self.last = task
        pid = self.nursery.start(task)
        killed = os.WIFSIGNALED(self.nursery.reap() if quiet else self.kill(task, pid))
        lines = self.read(task)
        patient = task.retries > 1
        self.take_in(task, lines, patient=patient)
        if quiet:
            self.check_end(lines)
        elif killed:
            self.figures.kills += 1
        self.check_rows(task, patient=patient)

    def kill(self, task: Task, pid: int) -> int:
        """Kill a process at a random moment; the status it leaves."""
        choice, deadly = self.choice, self.place.deadly
        moment = choice.random()
        if deadly is not None and moment < 0.45:
            # Right when the service takes one of its requests in, to be carried out or not.
            deadly.pid, deadly.runs, deadly.countdown = pid, choice.random() < 0.5, choice.randint(1, 30)
            self.figures.at_once += 1
            status = self.nursery.reap()
            deadly.countdown = 0
        else:
            if moment < 0.9:
                self.wait_for(task)
            time.sleep(0.0005 * 1000 ** choice.random())
            if deadly is not None and moment > 0.97:
                assert isinstance(self.place, Remote)
                with self.place.server.refusing():
                    time.sleep(0.005)
            os.kill(pid, signal.SIGKILL)
            status = self.nursery.reap()
        return status

    def wait_for(self, task: Task) -> None:
        """Wait until a process has told what it restored, or is at its end."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError), open(task.diary, "rb") as diary:
                if b"\n" in diary.read():
                    return
            time.sleep(0.001)
        self.complain("other", "restores for ever", task)

    def read(self, task: Task) -> list[dict[str, Any]]:
        """What a process told; half a line is what it was killed in."""
        try:
            whole = Path(task.diary).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in whole]

    def take_in(self, task: Task, lines: list[dict[str, Any]], *, patient: bool) -> None:
        """Compare what was restored with what was held, and hold what was told since."""
        for line in lines:
            if "restored" in line:
                self.figures.restores += 1
                for agent_id, restored in line["restored"].items():
                    self.check_restored(agent_id, restored, task)
            elif "intent" in line:
                held = self.held[line["agent"]]
                held.flying.append((line["intent"], line["snapshot"]))
                if line["added"] is not None:
                    held.coming.append((line["intent"], line["added"]))
            elif "stored" in line:
                for held in self.held.values():
                    acknowledge(held, line["stored"])
            elif "redacted" in line:
                self.redacted.append(line["redacted"])
                self.figures.turns += 1
            elif "surfaced" in line:
                self.figures.surfaced += 1
                if patient:
                    self.complain("other", f"an error surfaced: {line['surfaced']}", task)
            elif "failed" in line:
                self.complain("other", line["failed"], task)
        flying = sum(len(held.flying) for held in self.held.values())
        most = {"message": 1, "overlap": 2}.get(task.durability)
        if lines and "restored" in lines[0] and patient and most is not None and flying > most:
            story = [{key: value for key, value in line.items() if key != "snapshot"} for line in lines[-6:]]
            self.complain("other", f"{flying} events were in flight at once: {story}", task)

    def check_restored(self, agent_id: str, restored: Snapshot, task: Task) -> None:
        """A restored agent is what was stored last, or what was in flight; and what it is, is stored."""
        held = self.held[agent_id]
        candidates = [held.stored, *(each for _, each in held.flying)]
        if not restored["messages"] and not held.transcript and not held.coming:
            candidates.append(restored)  # a new agent
        if orphans(restored["messages"]):
            self.complain("orphans", f"{agent_id}: orphaned tool uses or results in {keys(restored)}", task)
        if not any(same(restored, each) for each in candidates) and not pieced(restored, candidates):
            shown = " | ".join(f"{keys(each)} ({difference(restored, each)})" for each in candidates)
            self.complain("losses", f"{agent_id}: {keys(restored)} restored, none of {shown}", task)
        held.stored, held.flying = restored, []

    def check_rows(self, task: Task, *, patient: bool) -> None:
        """The transcript is what was acknowledged and a beginning of what was in flight, each message once."""
        with self.place.sqlite() as connection:
            try:
                found = connection.execute(
                    "SELECT agent_id, message_id, data FROM strands_messages WHERE session_id = ? "
                    "ORDER BY agent_id, message_id",
                    (self.session_id,),
                ).fetchall()
                chunks: dict[tuple[str, int, str], list[str]] = {}
                for owner, message_id, generation, data in connection.execute(
                    "SELECT owner, message_id, generation, data FROM strands_chunks WHERE session_id = ? "
                    "AND kind = 'message' ORDER BY owner, message_id, generation, part",
                    (self.session_id,),
                ):
                    chunks.setdefault((owner, message_id, generation), []).append(data)
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                found, chunks = [], {}
        whole: dict[str, list[str]] = {agent_id: [] for agent_id in AGENTS}
        named = set()
        for agent_id, message_id, data in found:
            document = json.loads(data)
            if "persql_parts" in document:
                part = (agent_id, message_id, document["generation"])
                named.add(part)
                document = json.loads("".join(chunks[part]))
            if message_id != len(whole[agent_id]):
                self.complain(
                    "losses", f"{agent_id}: message {message_id} stands in place {len(whole[agent_id])}", task
                )
            whole[agent_id].append(key_of(document["message"]))
            for words in self.redacted:
                if words in data:
                    self.complain("other", f"{agent_id}: message {message_id} holds what was redacted", task)
        # Where no message stands yet, the parts of one that was cut off wait for the next to clear them away.
        stray = {key for key in chunks.keys() - named if key[1] < len(whole[key[0]])}
        if stray:
            self.complain("other", f"parts that belong to no message: {stray}", task)
        for agent_id, transcript in whole.items():
            held = self.held[agent_id]
            extra = transcript[len(held.transcript) :]
            coming = [key for _, key in held.coming]
            repeated = [key for key, count in Counter(transcript).items() if count > 1]
            if repeated:
                self.complain("doubles", f"{agent_id}: {repeated} stand more than once", task)
            if transcript[: len(held.transcript)] != held.transcript:
                self.complain("losses", f"{agent_id}: {held.transcript} acknowledged, {transcript} stored", task)
            if extra != coming[: len(extra)]:
                self.complain("losses", f"{agent_id}: {extra} stored, {coming} in flight", task)
            held.transcript, held.coming = transcript, []

    def check_end(self, lines: list[dict[str, Any]]) -> None:
        """A process that was not killed leaves what it held."""
        assert self.last is not None
        end = lines[-1] if lines else {}
        if "finished" not in end:
            self.complain(
                "other", f"did not finish: {[line for line in lines if 'snapshot' not in line][-3:]}", self.last
            )
        elif end["finished"] != end["restored_again"]:
            self.complain("losses", "live is not restored", self.last)
        for held in self.held.values():
            held.flying.clear()

    def complain(self, kind: str, words: str, task: Task) -> None:
        """Count something that is wrong."""
        setattr(self.figures, kind, getattr(self.figures, kind) + 1)
        place = "a file" if task.local else "the service"
        self.figures.complaints.append(
            f"{kind}: session {self.session_id} in {place}, process {self.processes} ({task.durability}): {words}"
        )


def acknowledge(held: Held, upto: int) -> None:
    """Take intents up to a number as stored."""
    done = [each for number, each in held.flying if number <= upto]
    if done:
        held.stored = done[-1]
        held.flying = [each for each in held.flying if each[0] > upto]
    held.transcript += [key for number, key in held.coming if number <= upto]
    held.coming = [each for each in held.coming if each[0] > upto]


def difference(restored: Snapshot, held: Snapshot) -> str:
    """The first thing in which two agents differ."""
    for part in ("state", "manager"):
        if restored.get(part) != held.get(part):
            return f"{part}: {restored.get(part)}, not {held.get(part)}"
    pairs = enumerate(zip(restored["messages"], held["messages"], strict=False))
    return next((f"message {place}: {one}, not {two}" for place, (one, two) in pairs if one != two), "the length")


def keys(snapshot: Snapshot) -> list[str]:
    """A history in short."""
    return [key_of(message) for message in snapshot["messages"]]
