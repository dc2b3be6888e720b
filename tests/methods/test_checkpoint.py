"""Drawing with fine-tunes that were made elsewhere: LoRAs, one for each subject, whole networks."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL.Image import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

from bench import own, paths, registry
from bench.api import Case, Precision, Question, Workspace
from bench.errors import UserError
from bench.methods.backbones import sd15
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.unet import UnetBackbone
from bench.methods.checkpoint import DIFFUSERS, Checkpoint, CheckpointOptions
from bench.methods.text_to_image import TextToImage
from bench.metrics import pickscore_network
from bench.metrics.encoders import NetworkEncoder
from bench.pictures import read
from bench.plan import Request, make_plan
from bench.results import ROWS_FILE, read_rows
from bench.run import execute
from tests.methods import tiny_text_backbones as tiny
from tests.methods.tiny_loras import ATTENTION, diffusers_file, factors
from tests.networks import picture, shaken, small_clip, small_encoder, stored

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:peft")
QUICK = {"steps": tiny.STEPS}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    tiny.tiny_sd("sd15").save_pretrained(home / "weights" / "sd15")
    return home


@pytest.fixture
def backbone(home: Path, monkeypatch: pytest.MonkeyPatch) -> UnetBackbone:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    return small_sd15()


def small_sd15() -> UnetBackbone:
    return sd15.load(tiny.SIDE)


def lora_file(home: Path, path: Path, seed: int = 0) -> Path:
    unet = tiny.stock("sd15", home).unet
    return diffusers_file(factors(unet, ATTENTION, seed=seed), "unet", path)


def asked(prompt: str = "a mug in snow", subject: str = "mug", seed: int = 0) -> Question:
    case = Case(
        suite="mini@1",
        subject=subject,
        prompt_index=0,
        prompt=prompt,
        name="mug",
        reference="",
        seed=seed,
    )
    return Question(case, None)


def drawn(backbone: Any, *questions: Question, **options: Any) -> list[Any]:
    made = Checkpoint(backbone, CheckpointOptions(**{**QUICK, **options}))
    return [pixels(image) for image in made.generate(questions or [asked()])]


def stock_image(pipeline: Any, question: Question) -> Image:
    image: Image = pipeline(
        question.case.prompt,
        height=tiny.SIDE,
        width=tiny.SIDE,
        num_inference_steps=tiny.STEPS,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(question.case.noise_seed),
    ).images[0]
    return image


def pixels(image: Image) -> Any:
    return np.asarray(image).astype(int)


def test_a_lora_at_a_scale_draws_what_the_stock_pipeline_draws(
    backbone: UnetBackbone, home: Path, tmp_path: Path
) -> None:
    path, question = lora_file(home, tmp_path / "lora.safetensors"), asked()
    [ours] = drawn(backbone, question, lora=path, scale=0.6, guidance=5.0)
    pipeline = tiny.stock("sd15", home)
    pipeline.load_lora_weights(tmp_path, weight_name=path.name, adapter_name="made")
    pipeline.set_adapters(["made"], [0.6])
    expected = stock_image(pipeline, question)
    assert np.abs(ours - pixels(expected)).max() <= 1
    [unadapted] = drawn(backbone, lora=path, scale=0.0, guidance=5.0)
    assert np.abs(unadapted - ours).max() > 2


def test_any_guidance_weakens_it(backbone: UnetBackbone, home: Path, tmp_path: Path) -> None:
    """At omega 1 personalization guidance is CFG; below, the empty prompt is read otherwise."""
    path = lora_file(home, tmp_path / "lora.safetensors")
    rules = (
        "cfg:5.0",
        "pg:scale=5.0,omega=1.0",
        "pg:scale=5.0,omega=0.4",
        "ag:2.0",
        "sag:scale=5.0,sag=4.0",
    )
    cfg, same, *others = (drawn(backbone, lora=path, token="sks", rule=rule)[0] for rule in rules)
    assert np.abs(cfg - same).max() <= 1
    assert all(np.abs(cfg - other).max() > 2 for other in others)


def test_each_subject_has_its_own_file_in_any_layout(
    backbone: UnetBackbone, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    alone = {
        "mug": lora_file(home, folder / "mug.safetensors", seed=1),
        "car": lora_file(home, folder / "car" / DIFFUSERS, seed=2),
        "vase": lora_file(home, folder / "vase" / "dreambooth.safetensors", seed=3),
    }
    lora_file(home, folder / "car" / "beside.safetensors", seed=4)
    questions = [asked(subject=name) for name in ("mug", "car", "vase", "mug")]
    *mixed, again = drawn(backbone, *questions, lora=folder)
    own = [drawn(backbone, each, lora=alone[each.case.subject])[0] for each in questions[:3]]
    assert all(np.array_equal(one, other) for one, other in zip(mixed, own, strict=True))
    assert np.array_equal(again, mixed[0]) and not np.array_equal(mixed[0], mixed[1])


def test_a_subject_without_a_file_is_named_before_anything_is_drawn(
    backbone: UnetBackbone, home: Path, tmp_path: Path
) -> None:
    lora_file(home, tmp_path / "loras" / "mug.safetensors")
    made = Checkpoint(backbone, CheckpointOptions(lora=tmp_path / "loras"))
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text('{"specification": {"subjects": ["mug", "vase"]}}')
    with pytest.raises(UserError, match=r"^There is no LoRA of 'vase' in .*add vase.safetensors"):
        made.train(Workspace(run / "checkpoints", tmp_path, lambda event: None))


def test_token_and_words_around_a_prompt_are_read_as_if_they_were_asked(
    backbone: UnetBackbone, home: Path, tmp_path: Path
) -> None:
    path = lora_file(home, tmp_path / "lora.safetensors")
    [said] = drawn(backbone, lora=path, token="sks", prompt="{} as a print")
    [written] = drawn(backbone, asked("a sks mug in snow as a print"), lora=path)
    [plain] = drawn(backbone, lora=path)
    assert np.array_equal(said, written) and not np.array_equal(said, plain)


def test_a_lora_that_was_trained_here_draws_as_where_it_was_trained(
    mini: FluxBackbone, tmp_path: Path
) -> None:
    """On FLUX it acts on the image's tokens alone, and is told from others by an option."""
    mini.add_adapter("dreambooth", 4, 0, "image")
    for name, parameter in mini.adapter_parameters("dreambooth").items():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.3)
    path, case = tmp_path / "dreambooth.safetensors", asked().case
    mini.save_adapter("dreambooth", path)
    there = TextToImage(mini, tiny.STEPS, 1.0)
    [expected] = there.draw([case.prompt], [case.noise_seed], {"dreambooth": 1.0})
    [here] = drawn(mini, lora=path, tokens="image")
    assert np.array_equal(here, pixels(expected))
    assert not np.array_equal(drawn(mini, lora=path)[0], here)


def test_a_runs_identity_holds_what_is_in_the_file_and_not_its_name(
    backbone: UnetBackbone, home: Path, tmp_path: Path
) -> None:
    first, copy, other = (
        lora_file(home, tmp_path / f"{name}.safetensors", seed)
        for name, seed in (("first", 0), ("copy", 0), ("other", 1))
    )
    digests = [Checkpoint(backbone, CheckpointOptions(lora=p)).inputs for p in (first, copy, other)]
    assert digests[0] == digests[1] != digests[2]
    assert digests[0].keys() == {"lora"}


def test_one_fine_tune_is_asked_for_and_has_to_be_there(
    backbone: UnetBackbone, tmp_path: Path
) -> None:
    for options in (CheckpointOptions(), CheckpointOptions(lora=tmp_path, weights="sd15")):
        with pytest.raises(UserError, match=r"^'checkpoint' draws with one fine-tune: say which"):
            Checkpoint(backbone, options)
    with pytest.raises(UserError, match=rf"^There is no LoRA at {tmp_path}"):
        Checkpoint(backbone, CheckpointOptions(lora=tmp_path))
    with pytest.raises(UserError, match="weights fetch dpo-sd15"):
        Checkpoint(backbone, CheckpointOptions(weights="dpo-sd15"))


@pytest.fixture
def judged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny SD 1.5 in the place of the real one, and a tiny PickScore."""
    tower = {
        "hidden_size": 48,
        "intermediate_size": 192,
        "num_hidden_layers": 1,
        "num_attention_heads": 3,
        "hidden_act": "gelu",
    }
    clip = {
        "projection_dim": 24,
        "text_config": tower,
        "vision_config": {**tower, "patch_size": 32},
    }
    torch.manual_seed(0)
    state = shaken(CLIPModel(CLIPConfig(**clip))).state_dict()
    save_file(state, home / "weights" / "pickscore-v1.safetensors")
    monkeypatch.setattr(pickscore_network, "pickscore_v1", partial(pickscore_network.clip, clip))
    target = f"{__name__}:{small_sd15.__name__}"
    monkeypatch.setitem(registry.BUILT_IN["backbone"], "sd15", target)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))


@pytest.fixture
def tuned(home: Path) -> UNet2DConditionModel:
    """A network that somebody fine-tuned, where Diffusion-DPO's belongs."""
    unet: UNet2DConditionModel = shaken(tiny.stock("sd15", home).unet)
    unet.save_pretrained(home / "weights" / "dpo-sd15" / "unet")
    return unet


def test_a_whole_network_draws_what_it_draws_in_the_stock_pipeline(
    backbone: UnetBackbone, home: Path, tuned: UNet2DConditionModel
) -> None:
    pipeline, question = tiny.stock("sd15", home), asked()
    pipeline.unet = tuned
    expected = pixels(stock_image(pipeline, question))
    for place in ("dpo-sd15", str(home / "weights" / "dpo-sd15" / "unet")):
        [ours] = drawn(backbone, question, weights=place, guidance=5.0)
        assert np.abs(ours - expected).max() <= 1
    [before] = drawn(backbone, question, weights=place, guidance=5.0, scale=0.0)
    assert np.abs(before - expected).max() > 2


@pytest.mark.usefixtures("judged", "tuned")
@pytest.mark.parametrize("fine_tune", ["weights", "lora"])
def test_prompts_without_subjects_are_drawn_and_judged_in_one_run(
    home: Path, tmp_path: Path, fine_tune: str
) -> None:
    """Diffusion-DPO under personalization guidance on PartiPrompts, by PickScore; in little."""
    lora = lora_file(home, tmp_path / "lora.safetensors")
    given = {"weights": "dpo-sd15"} if fine_tune == "weights" else {"lora": str(lora)}
    request = Request(
        method="checkpoint",
        suite="partiprompts",
        backbone="sd15",
        options={"steps": "2", **given},
        guidance="pg:scale=7.5,omega=0.4",
        limit_subjects=3,
    )
    folder, result = execute(make_plan(request), tmp_path / "run")
    assert len(list((folder / "images").rglob("*.png"))) == 3
    assert result.metrics["pick_score"].n == 3
    assert result.options["rule"] == "pg:scale=7.5,omega=0.4"
    assert len(str(result.options[fine_tune])) == 64


@pytest.fixture
def styles(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two styles of one's own, a LoRA of each, and a tiny network in the place of DreamSim's."""
    user = tmp_path / "user"
    user.mkdir()
    (user / "weights").symlink_to(home / "weights")
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(user))
    stored(small_clip(), user / "clip.safetensors")
    for name in ("dreamsim-ensemble", "clip-vitb32-openai"):
        target = f"{__name__}:{small_judge.__name__}"
        monkeypatch.setitem(registry.BUILT_IN["encoder"], name, target)
    for seed, style in enumerate(("digital_art", "oil_painting")):
        path = tmp_path / "styles" / style / "style.png"
        path.parent.mkdir(parents=True)
        picture((tiny.SIDE, tiny.SIDE), seed).save(path)
        lora_file(home, tmp_path / "loras" / f"{style}.safetensors", seed)
    (tmp_path / "styles" / "prompts.txt").write_text("a dog\na house by the sea\n")
    own.make("styles", tmp_path / "styles")
    return tmp_path / "loras"


def small_judge(precision: Precision = "fp32") -> NetworkEncoder:
    """Built where an encoder is looked for by its name, so that a file says which weights."""
    return small_encoder(paths.home() / "clip.safetensors", precision)


@pytest.mark.usefixtures("judged")
def test_a_lora_of_each_style_is_held_against_the_image_that_has_it(
    styles: Path, tmp_path: Path
) -> None:
    """Style LoRAs under personalization guidance by DreamSim; in little."""
    request = Request(
        method="checkpoint",
        suite="styles",
        protocol="style",
        backbone="sd15",
        options={"lora": str(styles), "steps": "2", "prompt": "{} in this style"},
        guidance="pg:scale=5.0,omega=0",
    )
    folder, result = execute(make_plan(request), tmp_path / "run")
    assert result.metrics["dreamsim"].n == 4
    rows = [row for row in read_rows(folder / ROWS_FILE) if row.metric == "dreamsim"]
    judge, subject = small_judge(), "oil_painting"
    drawn_and_meant = (
        folder / "images" / subject / "01-0.png",
        styles.parent / "styles" / subject / "style.png",
    )
    image, style = judge.encode_images([judge.prepare(read(path)) for path in drawn_and_meant])
    cosine = image @ style / np.linalg.norm(image) / np.linalg.norm(style)
    [row] = [row for row in rows if (row.subject, row.prompt_index) == (subject, 1)]
    assert row.value == pytest.approx(1 - cosine, abs=1e-5)
