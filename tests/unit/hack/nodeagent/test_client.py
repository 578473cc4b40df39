"""Kubeconfigs are read as kubectl reads them; passing failures are tried again, others told at once."""

import base64

import pytest
import yaml
from aiohttp import web

from nodeagent.client import Access, ApiError, Client, load_kubeconfig


def write(path, **user):
    config = {
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
            {"name": "two", "context": {"cluster": "d", "user": "u"}},
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "http://10.244.0.1:6443"}},
            {"name": "d", "cluster": {"server": "http://10.245.0.1:6443"}},
        ],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_context_chooses_server_and_user(tmp_path):
    path = write(tmp_path / "k", token="secret")
    assert load_kubeconfig(path).server == "http://10.244.0.1:6443"
    access = load_kubeconfig(path, "two")
    assert (access.host, dict(access.headers)) == ("10.245.0.1", {"Authorization": "Bearer secret"})
    with pytest.raises(ValueError, match="contexts: no entry 'three'"):
        load_kubeconfig(path, "three")


def test_a_certificate_that_is_none_is_refused(tmp_path):
    path = write(tmp_path / "k")
    text = path.read_text().replace("http://10.244", "https://10.244")
    data = base64.b64encode(b"nonsense").decode()
    path.write_text(text.replace("server:", f"certificate-authority-data: {data}\n    server:"))
    with pytest.raises(OSError):
        load_kubeconfig(path)


@pytest.mark.parametrize(
    ("codes", "asked", "raises"), [([503, 429, 200], 3, None), ([404, 200], 1, 404), ([409, 200], 1, 409)]
)
async def test_only_what_passes_is_tried_again(codes, asked, raises):
    left = list(codes)

    async def answer(request):
        code = left.pop(0)
        return web.json_response({"message": "no"} if code >= 400 else {"ok": True}, status=code)

    app = web.Application()
    app.router.add_get("/x", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Client(Access(f"http://127.0.0.1:{runner.addresses[0][1]}")) as client:
        if raises:
            with pytest.raises(ApiError) as refusal:
                await client.get("/x")
            assert refusal.value.status == raises
        else:
            assert await client.get("/x") == {"ok": True}
    assert len(codes) - len(left) == asked
    await runner.cleanup()
