"""Where the weights of every encoder, backbone and detector come from, and on what terms.

Sizes and licences are those of the places named; a size that only follows from the network is
marked. Digests are the places' own: the beginnings that file names carry, or the whole.
"""

import re
from typing import Literal

from bench.api import Frozen
from bench.errors import unknown

Format = Literal["safetensors", "pth"]


class Hub(Frozen):
    """A repository of the Hugging Face hub; ``files`` are patterns of what is taken from it."""

    repository: str
    files: tuple[str, ...]

    @property
    def page(self) -> str:
        return f"https://huggingface.co/{self.repository}"

    @property
    def by_hand(self) -> str:
        """What to do where no network is."""
        return f"download {', '.join(self.files)} from {self.page}"


class Web(Frozen):
    """A file at an address; an archive where weights are a folder.

    ``beside``: paths in the unpacked folder with the addresses of files that the archive lacks.
    """

    url: str
    beside: tuple[tuple[str, str], ...] = ()

    @property
    def file(self) -> str:
        """The file's own name."""
        return self.url.rpartition("/")[2]

    @property
    def page(self) -> str:
        return self.url

    @property
    def by_hand(self) -> str:
        """What to do where no network is."""
        unpacked = ", unpack it" if self.url.endswith(".zip") else ""
        beside = (f", put {url} at {path} in it" for path, url in self.beside)
        return f"download {self.url}{unpacked}{''.join(beside)}"


class ByHand(Frozen):
    """A page behind a sign-in, where people download ``file`` themselves."""

    page: str
    file: str

    @property
    def by_hand(self) -> str:
        """What to do."""
        return f"download {self.file} from {self.page}"


class Shipped(Frozen):
    """A file that the package carries among the mini world's weights."""

    file: str
    page: str = "the package"


class Source(Frozen):
    """One set of weights: what it is, where it comes from, on what terms."""

    name: str
    what: str
    kind: Literal["encoder", "backbone", "detector"]
    place: Hub | Web | ByHand | Shipped
    size: int
    """Bytes to download."""
    about: bool = False
    """The size is an estimate."""
    licence: str
    formats: tuple[Format, ...] = ("safetensors", "pth")
    """What a single file may be."""
    files: tuple[str, ...] = ()
    """Patterns of what a folder must hold, a plain name first; empty for a single file."""
    sha256: str | None = None
    """SHA-256 of the official file, or its beginning; a copy in another format has none."""

    @property
    def is_folder(self) -> bool:
        return bool(self.files)

    @property
    def volume(self) -> str:
        """The size in words: '87 MB', 'about 1.6 GB'."""
        megabytes = self.size / 1e6
        said = f"{megabytes / 1e3:.3g} GB" if megabytes >= 1e3 else f"{megabytes:.3g} MB"
        return f"about {said}" if self.about else said

    @property
    def terms(self) -> str:
        """Size and licence, as they are said before a download."""
        return f"{self.volume}, licence {self.licence}"

    @property
    def by_hand(self) -> str:
        """How to bring the weights without this program's network."""
        if isinstance(self.place, Shipped):
            return "install the package anew"
        how, what = self.place.by_hand, "DIR" if self.is_folder else "FILE"
        return f"{how} ({self.terms}) and run 'bench weights add {self.name} {what}'"

    def published(self, file: str) -> str | None:
        """The digest, or its beginning, that a file of this name must have."""
        return self.sha256 if file.endswith(".pth") else None


APACHE, MIT = "Apache-2.0", "MIT"
FLUX = "FLUX.1 [dev] Non-Commercial"
RAIL_PP = "CreativeML Open RAIL++-M"
TURBO = "Stability AI Non-Commercial"
NVIDIA = "NVIDIA NSCL v2-custom; Gemma"
SD2 = "sd2-community"
"""Copies: the makers have taken theirs away."""
SANA_HUB = "Efficient-Large-Model/Sana_1600M_"
OPENAI = "Apache-2.0; originally MIT"
TORCHVISION = "https://download.pytorch.org/models/"
DREAMSIM = "https://github.com/ssundaram21/dreamsim/releases/download/v0.2.0-checkpoints/"
DINO_VITB16 = (
    "checkpoints/dino_vitbase16_pretrain.pth",
    "https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
)
"""DreamSim's adapters sit on the authors' DINO, which its archives do not hold."""
TRANSFORMER = ("config.json", "model.safetensors")
CONTROLNET = ("config.json", "diffusion_pytorch_model.safetensors")
SDXL = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model.safetensors",
    "tokenizer/*",
    "tokenizer_2/*",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)
"""Without the halved, ONNX, OpenVINO and Flax copies that lie beside these on the hub."""
SD = tuple(file for file in SDXL if not file.startswith(("text_encoder_2/", "tokenizer_2/")))
UNET = tuple(file for file in SD if file.startswith("unet/"))
"""A network that stands in for that of a pipeline."""
SANA = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/*.json",
    "text_encoder/model-*.safetensors",
    "tokenizer/*",
    "transformer/*.json",
    "transformer/diffusion_pytorch_model-*.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)
"""The full-precision copies, which lie there in parts; the halved ones are named otherwise."""
SANA_HELD = tuple(re.sub(r"/\w+-\*", "/*", file) for file in SANA)
"""A copy that was saved anew may be in one part."""


def _timm(name: str, what: str, model: str, megabytes: int) -> Source:
    clip = "_clip_" in model
    file = "open_clip_model.safetensors" if clip else "model.safetensors"
    return Source(
        name=name,
        what=what,
        kind="encoder",
        place=Hub(repository=f"timm/{model}", files=(file,)),
        size=megabytes * 1_000_000,
        licence=OPENAI if clip else APACHE,
    )


def _lpips(trunk: str, file: str, size: int, sha256: str) -> Source:
    return Source(
        name=f"lpips-{trunk}",
        what=f"LPIPS, {trunk}",
        kind="encoder",
        place=Web(url=TORCHVISION + file),
        size=size,
        licence="not stated; code BSD-3",
        formats=("pth",),
        sha256=sha256,
    )


def _dreamsim(
    branch: str, what: str, size: int, adapters: str, *towers: str, dino: bool = False
) -> Source:
    beside = (DINO_VITB16,) if dino else ()
    archive = f"dreamsim_{branch.replace('-', '_')}_checkpoint.zip"
    return Source(
        name=f"dreamsim-{branch}",
        what=f"DreamSim, {what}",
        kind="encoder",
        place=Web(url=DREAMSIM + archive, beside=beside),
        size=size,
        about=True,
        licence=MIT,
        files=(*towers, *(path for path, _ in beside), f"{adapters}/*"),
    )


def _detector(name: str, what: str, repository: str, size: int) -> Source:
    place = Hub(repository=repository, files=("*.json", "*.txt", "model.safetensors"))
    return Source(
        name=name,
        what=what,
        kind="detector",
        place=place,
        size=size,
        licence=APACHE,
        files=TRANSFORMER,
    )


def _flux(name: str, model: str, licence: str = FLUX) -> Source:
    return Source(
        name=name,
        what=model,
        kind="backbone",
        place=Hub(
            repository=f"black-forest-labs/{model}",
            files=("model_index.json", "*/*"),
        ),
        size=34_000_000_000,
        about=True,
        licence=licence,
        files=("model_index.json", "scheduler/*", "text_encoder/*", "transformer/*", "vae/*"),
    )


def _saved(
    name: str,
    what: str,
    repository: str,
    files: tuple[str, ...],
    size: int,
    licence: str,
    held: tuple[str, ...] = (),
) -> Source:
    """A pipeline as diffusers saves it; sizes are the sums of its parts."""
    return Source(
        name=name,
        what=what,
        kind="backbone",
        place=Hub(repository=repository, files=files),
        size=size,
        about=True,
        licence=licence,
        files=held or files,
    )


def _ip_adapter(name: str, what: str, file: str, megabytes: int) -> Source:
    return Source(
        name=name,
        what=what,
        kind="backbone",
        place=Hub(repository="h94/IP-Adapter", files=(f"sdxl_models/{file}",)),
        size=megabytes * 1_000_000,
        licence=APACHE,
        formats=("safetensors",),
    )


def _eye(name: str, what: str, repository: str, megabytes: int) -> Source:
    """Copies of the image encoders in h94/IP-Adapter, each in a repository of its own."""
    return Source(
        name=name,
        what=what,
        kind="encoder",
        place=Hub(repository=f"InvokeAI/{repository}", files=TRANSFORMER),
        size=megabytes * 1_000_000,
        licence=APACHE,
        files=TRANSFORMER,
    )


def _mini(name: str, what: str, kind: Literal["encoder", "backbone"], size: int) -> Source:
    file = "mini-base" if kind == "backbone" else name
    return Source(
        name=name,
        what=what,
        kind=kind,
        place=Shipped(file=file),
        size=size,
        about=True,
        licence=APACHE,
    )


_ALL = (
    _timm("dino-vits16", "DINO ViT-S/16", "vit_small_patch16_224.dino", 87),
    _timm("dino-vits8", "DINO ViT-S/8", "vit_small_patch8_224.dino", 87),
    _timm("dino-vitb16", "DINO ViT-B/16", "vit_base_patch16_224.dino", 343),
    _timm("dino-vitb8", "DINO ViT-B/8", "vit_base_patch8_224.dino", 343),
    _timm("dinov2-vits14", "DINOv2 ViT-S/14", "vit_small_patch14_dinov2.lvd142m", 88),
    _timm("dinov2-vitb14", "DINOv2 ViT-B/14", "vit_base_patch14_dinov2.lvd142m", 346),
    _timm("dinov2-vitl14", "DINOv2 ViT-L/14", "vit_large_patch14_dinov2.lvd142m", 1217),
    _timm("dinov2-vitg14", "DINOv2 ViT-g/14", "vit_giant_patch14_dinov2.lvd142m", 4546),
    _timm("clip-vitb32-openai", "CLIP ViT-B/32", "vit_base_patch32_clip_224.openai", 605),
    _timm("clip-vitb16-openai", "CLIP ViT-B/16", "vit_base_patch16_clip_224.openai", 598),
    _timm("clip-vitl14-openai", "CLIP ViT-L/14", "vit_large_patch14_clip_224.openai", 1710),
    _timm(
        "clip-vitl14-336-openai", "CLIP ViT-L/14, 336", "vit_large_patch14_clip_336.openai", 1712
    ),
    Source(
        name="ir-guie-vith14",
        what="IR, ViT-H/14",
        kind="encoder",
        place=ByHand(
            page="https://www.kaggle.com/datasets/louieshao/guieweights0732",
            file="the checkpoint",
        ),
        size=2_500_000_000,
        about=True,
        licence="not stated; code Apache-2.0",
    ),
    Source(
        name="pickscore-v1",
        what="PickScore",
        kind="encoder",
        place=Hub(repository="yuvalkirstain/PickScore_v1", files=("model.safetensors",)),
        size=3_944_000_000,
        licence="not stated; code MIT",
        formats=("safetensors",),
    ),
    Source(
        name="align-base",
        what="ALIGN",
        kind="encoder",
        place=Hub(
            repository="kakaobrain/align-base",
            files=("config.json", "vocab.txt", "tokenizer*.json", "pytorch_model.bin"),
        ),
        size=689_000_000,
        about=True,
        licence="not stated",
        files=("config.json", "vocab.txt", "*model.*"),
    ),
    Source(
        name="inception-2015",
        what="FID, KID: Inception",
        kind="encoder",
        place=Web(
            url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth"
        ),
        size=95_628_359,
        licence="not stated; code Apache-2.0",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    _lpips(
        "alex",
        "alexnet-owt-7be5be79.pth",
        244_408_911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    _lpips(
        "vgg",
        "vgg16-397923af.pth",
        553_433_881,
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    _lpips("squeeze", "squeezenet1_1-b8a52dc0.pth", 4_959_000, "b8a52dc0"),
    _dreamsim(
        "ensemble",
        "ensemble",
        1_605_000_000,
        "ensemble_lora",
        "clip_vitb16_pretrain.pth.tar",
        "open_clip_vitb16_pretrain.pth.tar",
        dino=True,
    ),
    _dreamsim("dino-vitb16", "DINO B/16", 690_000_000, "dino_vitb16_single_lora", dino=True),
    _dreamsim(
        "clip-vitb32",
        "CLIP B/32",
        610_000_000,
        "clip_vitb32_single_lora",
        "clip_vitb32_pretrain.pth.tar",
    ),
    _dreamsim(
        "open-clip-vitb32",
        "LAION B/32",
        610_000_000,
        "open_clip_vitb32_single_lora",
        "open_clip_vitb32_pretrain.pth.tar",
    ),
    _detector(
        "grounding-dino-tiny", "boxes of subjects", "IDEA-Research/grounding-dino-tiny", 690_000_000
    ),
    _detector("sam-vit-base", "masks of subjects", "facebook/sam-vit-base", 375_000_000),
    _flux("flux-dev", "FLUX.1-dev"),
    _flux("flux-schnell", "FLUX.1-schnell", APACHE),
    _flux("flux-kontext", "FLUX.1-Kontext-dev"),
    Source(
        name="flux-inpainting",
        what="FLUX, inpainting",
        kind="backbone",
        place=Hub(
            repository="alimama-creative/FLUX.1-dev-Controlnet-Inpainting-Beta", files=CONTROLNET
        ),
        size=4_280_000_000,
        licence=FLUX,
        files=CONTROLNET,
    ),
    Source(
        name="flux-ip-adapter",
        what="FLUX, IP-Adapter",
        kind="backbone",
        place=Hub(repository="XLabs-AI/flux-ip-adapter", files=("ip_adapter.safetensors",)),
        size=982_000_000,
        licence=FLUX,
        formats=("safetensors",),
    ),
    Source(
        name="clip-vit-large-patch14",
        what="CLIP of IP-Adapter",
        kind="encoder",
        place=Hub(repository="openai/clip-vit-large-patch14", files=TRANSFORMER),
        size=1_710_000_000,
        licence="not stated; code MIT",
        files=TRANSFORMER,
    ),
    _saved(
        "sdxl",
        "SD-XL base 1.0",
        "stabilityai/stable-diffusion-xl-base-1.0",
        SDXL,
        13_900_000_000,
        RAIL_PP,
    ),
    _saved(
        "sd15",
        "SD 1.5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        SD,
        4_270_000_000,
        "CreativeML Open RAIL-M",
    ),
    _saved(
        "dpo-sd15",
        "Diffusion-DPO, SD 1.5",
        "mhdang/dpo-sd1.5-text2image-v1",
        UNET,
        3_440_000_000,
        RAIL_PP,
    ),
    _saved(
        "instruct-pix2pix", "InstructPix2Pix", "timbrooks/instruct-pix2pix", SD, 4_270_000_000, MIT
    ),
    _saved("sd21", "SD 2.1, 512", f"{SD2}/stable-diffusion-2-1-base", SD, 5_160_000_000, RAIL_PP),
    _saved("sd21-768", "SD 2.1, 768-v", f"{SD2}/stable-diffusion-2-1", SD, 5_160_000_000, RAIL_PP),
    _saved("sd-turbo", "SD-Turbo", "stabilityai/sd-turbo", SD, 5_160_000_000, TURBO),
    _saved("sdxl-turbo", "SDXL-Turbo", "stabilityai/sdxl-turbo", SDXL, 13_900_000_000, TURBO),
    _saved(
        "sana",
        "SANA 1.6B",
        f"{SANA_HUB}1024px_BF16_diffusers",
        SANA,
        12_900_000_000,
        NVIDIA,
        SANA_HELD,
    ),
    _saved(
        "sana-512",
        "SANA 1.6B, 512",
        f"{SANA_HUB}512px_diffusers",
        SANA,
        12_900_000_000,
        NVIDIA,
        SANA_HELD,
    ),
    _ip_adapter("sdxl-ip-adapter", "IP-Adapter", "ip-adapter_sdxl.safetensors", 703),
    _ip_adapter(
        "sdxl-ip-adapter-vit-h",
        "IP-Adapter, ViT-H",
        "ip-adapter_sdxl_vit-h.safetensors",
        698,
    ),
    _ip_adapter(
        "sdxl-ip-adapter-plus",
        "IP-Adapter Plus",
        "ip-adapter-plus_sdxl_vit-h.safetensors",
        848,
    ),
    _eye("ip-adapter-vit-bigg14", "CLIP of IP-Adapter", "ip_adapter_sdxl_image_encoder", 3690),
    _eye("ip-adapter-vit-h14", "CLIP of IP-Adapter", "ip_adapter_sd_image_encoder", 2530),
    _mini("mini", "FLUX of mini", "backbone", 6_700_000),
    _mini("mini-dino", "DINO of mini", "encoder", 800_000),
    _mini("mini-clip", "CLIP of mini", "encoder", 1_300_000),
)
SOURCES = {source.name: source for source in _ALL}
"""By name, in the order they are listed."""


def source(name: str) -> Source:
    """What is known of weights. UserError for a name that nothing answers to."""
    if name not in SOURCES:
        raise unknown("weights", name, SOURCES)
    return SOURCES[name]
