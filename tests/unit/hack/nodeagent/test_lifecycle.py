"""One container from its image to its end, without a cluster: restarts, back-offs, grace and probes."""

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

import unit.waiting
from nodeagent.engine import launch_engine
from nodeagent.images import Images
from nodeagent.lifecycle import ContainerLife
from nodeagent.pace import Pace
from nodeagent.process import Idle
from nodeagent.status import Container, waiting

POD = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
    "spec": {"terminationGracePeriodSeconds": 30},
}


class Home:
    """A pod of one container, which writes down every state that is shown."""

    def __init__(self, kubelet):
        self.kubelet, self.pod, self.address = kubelet, POD, "127.0.0.1"
        self.history, self.events, self.starts = [], [], 0

    def attach(self, life):
        self.life = life
        return life

    def changed(self):
        shown = self.life.shown
        kind, detail = next(iter(shown.state.items()))
        word = detail.get("reason", kind) + (" ready" if shown.ready else "")
        if not self.history or self.history[-1] != word:
            self.history.append(word)

    def started(self, life):
        self.starts += 1

    def tell(self, kind, reason, message):
        self.events.append(reason)

    def accelerators(self, spec):
        return None, 0


@pytest.fixture
async def kubelet():
    session = aiohttp.ClientSession()
    yield SimpleNamespace(
        client=None,
        images=Images(),
        launch=lambda command: Idle(command.finite),
        pace=Pace(1000),
        engine_pace=Pace(1),
        load_seconds=None,
        session=session,
    )
    await session.close()


def born(home, spec=None, *, policy="Always", finite=False):
    spec = {"name": "engine", "image": "vllm:1"} | (spec or {})
    shown = Container("engine", "vllm:1", state=waiting("ContainerCreating"))
    return home.attach(ContainerLife(home, spec, shown, policy=policy, finite=finite))


async def until(condition):
    await unit.waiting.until(condition, every=0.001, seconds=10)


async def test_a_crashing_container_backs_off_from_its_second_crash_on(kubelet):
    home = Home(kubelet)
    life = born(home)
    running = asyncio.create_task(life.run())
    for starts in (1, 2, 3):
        await until(lambda starts=starts: home.starts == starts and life.shown.ready)
        life.process.crash(137)
    await until(lambda: life.shown.state.get("waiting"))
    assert home.history == [
        *("running", "running ready", "OOMKilled"),
        *("running", "running ready", "OOMKilled", "CrashLoopBackOff"),
        *("running", "running ready", "OOMKilled", "CrashLoopBackOff"),
    ]
    assert life.shown.last_state["terminated"]["exitCode"] == 137
    await life.stop(1)
    await running
    assert life.shown.restarts >= 2


@pytest.mark.parametrize(
    ("fault", "reason", "code"),
    [
        ("oom-after=1", "OOMKilled", 137),
        ("load-oom", "OOMKilled", 137),
        ("crash-after=1", "Error", 1),
        ("never-ready,load-crash", "Error", 1),
        ("nonsense", "Error", 2),
    ],
)
async def test_an_engine_has_the_faults_that_its_containers_environment_asks_for(kubelet, fault, reason, code):
    kubelet.launch, kubelet.engine_pace, kubelet.load_seconds = launch_engine, Pace(1000), 0.0
    home = Home(kubelet)
    command = ["bentoml", "serve", "--port", "0"]
    life = born(home, {"command": command, "env": [{"name": "INFEROPS_SIMULATED_FAULT", "value": fault}]})
    running = asyncio.create_task(life.run())
    await until(lambda: "CrashLoopBackOff" in home.history)
    assert life.shown.last_state["terminated"]["exitCode"] == code
    assert [word for word in home.history if "ready" not in word][:2] == ["running", reason]
    await life.stop(1)
    await running


@pytest.mark.parametrize(
    ("policy", "code", "starts"), [("Never", 1, 1), ("Never", 0, 1), ("OnFailure", 0, 1), ("OnFailure", 1, 2)]
)
async def test_restart_policy(kubelet, policy, code, starts):
    home = Home(kubelet)
    codes = [code, 0]

    def launch(command):
        process = Idle()
        asyncio.get_running_loop().call_soon(process.crash, codes.pop(0))
        return process

    kubelet.launch = launch
    await asyncio.wait_for(born(home, policy=policy).run(), 10)
    assert home.starts == starts


async def test_a_process_that_ignores_sigterm_is_killed_when_its_grace_is_over(kubelet):
    home = Home(kubelet)
    life = born(home)
    running = asyncio.create_task(life.run())
    await until(lambda: life.shown.ready)
    life.process.hang()
    await life.stop(30)
    await running
    assert home.history[-1] == "Error"  # killed by kubelet: not out of memory
    assert life.shown.exit_code == 137


async def test_a_container_that_waits_ends_at_once(kubelet):
    kubelet.images.fail("*")
    kubelet.pace = Pace(1)  # a back-off of 10 s that nobody is to wait for
    home = Home(kubelet)
    life = born(home)
    running = asyncio.create_task(life.run())
    await until(lambda: home.history)
    await life.stop(30)
    await asyncio.wait_for(running, 1)
    assert home.history[0] == "ErrImagePull"
    assert home.starts == 0


async def test_a_failed_pull_is_tried_again_until_it_goes_well(kubelet):
    kubelet.images.fail("vllm:*")
    home = Home(kubelet)
    life = born(home)
    running = asyncio.create_task(life.run())
    await until(lambda: "ImagePullBackOff" in home.history)
    kubelet.images.allow("vllm:*")
    await until(lambda: life.shown.ready)
    assert home.history[:2] == ["ErrImagePull", "ImagePullBackOff"]
    await life.stop(1)
    await running


async def test_probes_make_ready_and_restart(kubelet):
    """Startup gates readiness; a liveness probe that fails ends the process, and it starts again."""
    answers = {"/startup": 503, "/ready": 200, "/live": 200}

    async def answer(request):
        return web.Response(status=answers[request.path])

    app = web.Application()
    app.router.add_get("/{any}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    def probe(path, failures):
        return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": 5, "failureThreshold": failures}

    spec = {
        "ports": [{"name": "http", "containerPort": port}],
        "startupProbe": probe("/startup", 100_000),
        "readinessProbe": probe("/ready", 2),
        "livenessProbe": probe("/live", 2),
    }
    home = Home(kubelet)
    life = born(home, spec)
    running = asyncio.create_task(life.run())
    await until(lambda: home.events.count("Unhealthy") > 3)
    assert not life.shown.started
    answers["/startup"] = 200
    await until(lambda: life.shown.ready)
    answers["/ready"] = 404
    await until(lambda: not life.shown.ready)
    answers["/ready"] = 302
    await until(lambda: life.shown.ready)
    answers["/live"] = 500
    await until(lambda: home.starts == 2)
    assert "Killing" in home.events
    answers["/live"] = 200
    await life.stop(1)
    await running
    await runner.cleanup()
