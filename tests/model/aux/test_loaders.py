"""What a folder says decides how it is loaded: pooling, limits, size; and what is no model of the kind is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoModel

from tests.model.aux.conftest import Folders
from tests.model.aux.test_texts import EPSILON, raw_tokenizer
from tool_server.model.aux import loaders
from tool_server.model.aux.checkpoint import Checkpoint, LoadError
from tool_server.model.aux.work import Text
from tool_server.settings import Settings, load

TEXTS = ["年假有几天", "the quick brown fox " * 5, "fox"]


def settings(kind: str, path: Path, **more: str) -> Settings:
    return load({f"SHENQIAO_MODEL_{kind.upper()}_PATH": str(path), **more})


@pytest.mark.parametrize("name", ["bert", "xlm_roberta", "qwen3"])
def test_the_pooling_is_the_folders_own(folders: Folders, name: str) -> None:
    folder: Path = getattr(folders, name)
    tokens = [raw_tokenizer(folder).encode(text).ids for text in TEXTS]
    vectors = loaders.load("embedding", settings("embedding", folder)).run(
        [Text(t) for t in tokens]
    )
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    for one, vector in zip(tokens, vectors, strict=True):
        with torch.inference_mode():
            hidden = model(torch.tensor([one])).last_hidden_state[0]
        pooled = {"bert": hidden.mean(0), "xlm_roberta": hidden[0], "qwen3": hidden[-1]}[name]
        given = torch.frombuffer(bytearray(vector), dtype=torch.float32)
        assert (given - normalize(pooled, dim=0)).abs().max() < EPSILON


def test_the_weights_are_measured_before_they_are_loaded(folders: Folders) -> None:
    for kind, folder in (("speech", folders.whisper), ("rerank", folders.cross_encoder)):
        loaded = loaders.load(kind, settings(kind, folder))  # type: ignore[arg-type]
        measured = Checkpoint(folder).weight_bytes(4)
        assert loaded.weight_bytes == pytest.approx(measured, rel=0.05)


def test_positions_that_belong_to_the_padding_are_not_counted(folders: Folders) -> None:
    assert Checkpoint(folders.xlm_roberta).context_tokens == 254
    assert Checkpoint(folders.bert).context_tokens == 256


def test_a_model_of_another_kind_is_refused(folders: Folders) -> None:
    with pytest.raises(LoadError, match="no reranker"):
        loaders.load("rerank", settings("rerank", folders.bert))
    with pytest.raises(LoadError, match="weights are missing"):
        loaders.load("guard", settings("guard", _without_weights(folders)))


def _without_weights(folders: Folders) -> Path:
    """A decoder's config with the weights of an encoder: the library would make up all of them."""
    folder = folders.guard.parent / "mixed"
    shutil.copytree(folders.guard, folder, dirs_exist_ok=True)
    shutil.copy(folders.bert / "model.safetensors", folder)
    return folder


def test_a_part_that_we_do_not_have_is_refused(folders: Folders, tmp_path: Path) -> None:
    shutil.copytree(folders.xlm_roberta, tmp_path, dirs_exist_ok=True)
    modules = [{"type": "sentence_transformers.models.Dense"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(LoadError, match="Dense"):
        Checkpoint(tmp_path).pooling()
    (tmp_path / "modules.json").unlink()
    pooling = {"pooling_mode_max_tokens": True}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(LoadError, match="max_tokens"):
        Checkpoint(tmp_path).pooling()
