"""Federated Dropout by Flower: a SuperLink and two SuperNodes on loopback come to the weights of the simulation."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_book import CHECKOUT

pytest.importorskip("flwr", reason="flwr is not installed (make test-devices)")

from paper_lib.checkpoint import load_tensors
from paper_lib.corpus import open_corpus
from paper_lib.federated.algorithm import federated_dropout
from paper_lib.federated.clients import clients_of, sample
from paper_lib.flower import DeviceError, study_of
from paper_lib.studies.computing import trained_model

PATIENCE = 240  # s
SETTINGS: dict[str, Any] = {"profile": "smoke", "plan": "none", "seed": 0, "rounds": 3, "nodes": 2}
HALF = "rest:0.5"
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Counting:
    """What lies between devices and the SuperLink, and counts the bytes that pass it, both ways."""

    target: int
    down: int = 0  # to devices
    up: int = 0
    server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self.server.getsockname()[1])

    def listen(self) -> None:
        while True:
            try:
                device, _ = self.server.accept()
            except OSError:
                return
            try:
                link = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # the SuperLink has gone: the device asks again
                device.close()
                continue
            threading.Thread(target=self._pass, args=(device, link, "up"), daemon=True).start()
            threading.Thread(target=self._pass, args=(link, device, "down"), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        try:
            while content := source.recv(65536):
                setattr(self, way, getattr(self, way) + len(content))
                sink.sendall(content)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@dataclass
class Federation:
    environment: Mapping[str, str]
    wire: Counting
    output: Path

    def run(self, plan: str) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]], int, int]:
        """Returns the weights after the rounds, their reports, and the bytes that passed to and from devices."""
        self.output.unlink(missing_ok=True)
        before = self.wire.down, self.wire.up
        said = " ".join(
            f"{name}={json.dumps(value)}"
            for name, value in {**SETTINGS, "plan": plan, "output": str(self.output)}.items()
        )
        command = [str(BIN / "flwr"), "run", str(CHECKOUT / "flower"), "here", "--run-config", said]
        told = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr
        deadline = time.monotonic() + PATIENCE
        while not self.output.is_file():
            assert time.monotonic() < deadline, "the run has not ended"
            time.sleep(0.5)
        tensors, metadata = load_tensors(self.output)
        return tensors, json.loads(metadata["reports"]), self.wire.down - before[0], self.wire.up - before[1]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A SuperLink, and two devices which have half of the clients each."""
    root = tmp_path_factory.mktemp("devices")
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPER_LIB_CACHE", str(root / "cache"))
        environment = os.environ | {
            "FLWR_HOME": str(root / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "PYTHONPATH": str(CHECKOUT),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        (root / "flwr").mkdir()
        (root / "flwr" / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
        )
        wire = Counting(port)
        threading.Thread(target=wire.listen, daemon=True).start()
        link = ["flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(port)]
        commands = [link] + [
            [
                "flower-supernode",
                "--insecure",
                "--superlink",
                f"127.0.0.1:{wire.port}",
                "--port",
                str(free_port()),
                "--node-config",
                f'partition="{place}/2"',
            ]
            for place in range(2)
        ]
        running = []
        for place, command in enumerate(commands):
            log = (root / f"{place}.log").open("w")
            running.append(
                subprocess.Popen(
                    [str(BIN / command[0]), *command[1:]],
                    env=environment,
                    cwd=root,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
            if place == 0:
                _wait_for(port)
        yield Federation(environment, wire, root / "adapted.safetensors")
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        wire.server.close()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError("the SuperLink does not listen")


def simulated(plan: str) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    study = study_of({**SETTINGS, "plan": plan})
    fitted = trained_model(study.run)
    algorithm = federated_dropout(study.federated, study.plan, study.run.model, fitted.tokenizer)
    assert study.run.corpus
    clients = clients_of(open_corpus(study.run.corpus, (study.held_out,)), "train")
    state, reports = algorithm.init(fitted.model), []
    for round_ in range(study.federated.rounds):
        state, report = algorithm.apply(state, [clients[k] for k in sample(study.federated, len(clients), round_)])
        reports.append(json.loads(json.dumps(asdict(report))))
    return state.learnt, reports


def test_three_rounds_on_devices_are_those_of_the_simulation_and_smaller_plans_send_less(
    federation: Federation,
) -> None:
    passed = {}
    for plan in ("none", HALF):
        weights, reports, down, up = federation.run(plan)
        expected, expected_reports = simulated(plan)
        assert weights.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-6)
        keys = ("clients", "refused", "utterances", "bytes_down", "bytes_up")
        assert [[report[key] for key in keys] for report in reports] == [
            [report[key] for key in keys] for report in expected_reports
        ]
        assert sum(report["utterances"] for report in reports) > 0
        counted = [sum(report[way] for report in reports) for way in ("bytes_down", "bytes_up")]
        passed[plan] = ([down, up], counted)
        print(plan, passed[plan])
    for way in (0, 1):
        (whole, whole_counted), (half, half_counted) = ((passed[plan][0][way], passed[plan][1][way]) for plan in passed)
        assert whole >= whole_counted
        # What the plan leaves out is left out on the wire; names, settings and the protocol cost the same.
        assert whole - half == pytest.approx(whole_counted - half_counted, rel=0.1)


def test_clients_of_another_corpus_are_refused() -> None:
    with pytest.raises(DeviceError, match="profile is 'human': its clients are of another corpus"):
        study_of({**SETTINGS, "profile": "human"})
