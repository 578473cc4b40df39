"""LoRA adapters: what is mounted for them and what the engines are told of them."""

from __future__ import annotations

from unit.render.building import MODELS, engine_of, pod_of, rendered, revision, service

SQL = {"name": "sql", "uri": "hf://org/sql-lora"}
ADAPTERS = [
    SQL,
    {"name": "docs", "uri": "pvc://loras/docs/v2/", "rank": 40},
    {"name": "code", "uri": "pvc://loras/code"},
    {"name": "tone", "uri": "oci://registry.example.com/loras/tone:1"},
]
PLACES = [
    "sql=org/sql-lora",
    "docs=/mnt/adapters/loras/docs/v2",
    "code=/mnt/adapters/loras/code",
    "tone=/mnt/adapters/3",
]


def test_vllm_serves_adapters() -> None:
    record = rendered(service({**MODELS["hf with a token"], "adapters": ADAPTERS}))
    args = engine_of(record)["args"]
    assert args[args.index("--enable-lora") :] == [
        "--enable-lora", "--max-loras=4", "--max-cpu-loras=4", "--max-lora-rank=64", "--lora-modules", *PLACES
    ]  # fmt: skip
    added = [volume for volume in pod_of(record)["volumes"] if volume["name"].startswith("adapters-")]
    assert added == [
        {"name": "adapters-0", "persistentVolumeClaim": {"claimName": "loras", "readOnly": True}},
        {
            "name": "adapters-1",
            "image": {"reference": "registry.example.com/loras/tone:1", "pullPolicy": "IfNotPresent"},
        },
    ]
    mounts = {mount["name"]: mount for mount in engine_of(record)["volumeMounts"]}
    assert mounts["adapters-0"] == {"name": "adapters-0", "mountPath": "/mnt/adapters/loras", "readOnly": True}
    assert mounts["adapters-1"]["mountPath"] == "/mnt/adapters/3"


def test_sglang_serves_adapters() -> None:
    many = [{"name": f"a{number}", "uri": "hf://org/lora"} for number in range(32)]
    args = engine_of(rendered(service({**MODELS["hf"], "adapters": many}, {"name": "sglang"})))["args"]
    assert args[args.index("--enable-lora") + 1] == "--max-loras-per-batch=8"
    assert args[args.index("--lora-paths") + 1 :] == [f"a{number}=org/lora" for number in range(32)]


def test_adapters_on_the_models_own_claim_are_not_mounted_again() -> None:
    model = {"uri": "pvc://models/qwen", "adapters": [{"name": "sql", "uri": "pvc://models/loras/sql"}]}
    record = rendered(service(model))
    assert engine_of(record)["args"][-1] == "sql=/mnt/models/loras/sql"
    assert len([volume for volume in pod_of(record)["volumes"] if "persistentVolumeClaim" in volume]) == 1


def test_adapters_make_another_revision() -> None:
    plain, with_adapter = service(MODELS["hf"]), service({**MODELS["hf"], "adapters": [SQL]})
    assert revision(plain).hash == revision(service({**MODELS["hf"], "adapters": []})).hash
    assert revision(plain).hash != revision(with_adapter).hash
