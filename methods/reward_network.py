"""The network of the reward model: ImageReward's, which sees a reference beside the image.

BLIP's vision encoder sees both, its text encoder reads the prompt while it looks at them, and a
head turns what it read into one number. Source: ImageReward (arXiv 2304.05977); the reference image
is SFO's (arXiv 2506.03621, Table 6), which leaves open how it enters: here as further tokens, with
a learned embedding that says which image a token is of.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoTokenizer,
    BlipForImageTextRetrieval,
    BlipTextConfig,
    BlipVisionConfig,
    BlipVisionModel,
)
from transformers.models.blip.modeling_blip_text import BlipTextModel

from bench.errors import UserError
from bench.methods.backbones.mini_text import LENGTH, PAD, WORDS, tokenize

HEAD = (1024, 128, 64, 16)
DROPOUT = (0.2, 0.2, 0.1)
MOST_TOKENS = 35
SEGMENTS = 2
MINI_SPREAD = 0.1
"""Of first weights: about 1 / sqrt(96), since what is narrow and untrained needs wider ones."""
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation, which BLIP was trained with."""
START = len(WORDS) + 2
"""The token that the mini world's prompts are read at."""
Tokenize = Callable[[list[str]], tuple[Tensor, Tensor]]
"""Prompts to indices and mask, (B, T) each; a prompt is read at its first token."""


class RewardNetwork(nn.Module):
    """Prompt, reference and image to a number (B,); images of any size are resized."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        vision: BlipVisionModel,
        text: BlipTextModel,
        tokens: Tokenize,
        spread: float | None = None,
    ) -> None:
        super().__init__()
        self.vision, self.text, self.tokens = vision, text, tokens
        self.size = vision.config.image_size
        self.segments = nn.Parameter(torch.randn(SEGMENTS, vision.config.hidden_size) * 0.02)
        self.head = build_head(text.config.hidden_size, spread)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, prompts: Sequence[str], references: Tensor, images: Tensor) -> Tensor:
        return self.judge(prompts, self.see(references), self.see(images))

    def judge(self, prompts: Sequence[str], references: Tensor, images: Tensor) -> Tensor:
        """As ``forward``, of what ``see`` made of them."""
        device = self.segments.device
        memory = torch.cat([images + self.segments[0], references + self.segments[1]], dim=1)
        ids, mask = self.tokens(list(prompts))
        read = self.text(
            input_ids=ids.to(device), attention_mask=mask.to(device), encoder_hidden_states=memory
        )
        rewards: Tensor = self.head(read.last_hidden_state[:, 0])[:, 0]
        return rewards

    def see(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to tokens (B, N, C)."""
        pixels = images.to(self.segments.device)
        if pixels.shape[-1] != self.size:
            size = (self.size, self.size)
            pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True)
        tokens: Tensor = self.vision((pixels.clamp(0, 1) - self.mean) / self.std).last_hidden_state
        return tokens

    @torch.no_grad()
    def score(self, prompts: Sequence[str], references: Tensor, images: Tensor) -> Tensor:
        """As ``bench.methods.reward.RewardModel`` has it."""
        self.eval()
        return self(prompts, references, images).float().cpu()

    def trainable(self, frozen: float) -> dict[str, nn.Parameter]:
        """What is trained where the first part ``frozen`` of each encoder's layers is not."""
        fixed = (
            *_below("vision.encoder.layers", len(self.vision.encoder.layers), frozen),
            *_below("text.encoder.layer", len(self.text.encoder.layer), frozen),
            *(("vision.embeddings.", "text.embeddings.") if frozen else ()),
        )
        self.requires_grad_(False)
        named = self.named_parameters()
        return {name: value for name, value in named if not name.startswith(fixed)}


def _below(prefix: str, layers: int, share: float) -> list[str]:
    return [f"{prefix}.{index}." for index in range(int(layers * share))]


def build_head(width: int, spread: float | None = None) -> nn.Sequential:
    """Linear layers with nothing between but dropout.

    Weights start at N(0, ``spread``^2), 1 / (width + 1) where nothing is said, and biases at zero.
    """
    spread = spread or 1 / (width + 1)
    sizes = [width, *HEAD, 1]
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(sizes)):
        linear = nn.Linear(before, after)
        nn.init.normal_(linear.weight, std=spread)
        nn.init.zeros_(linear.bias)
        layers += [linear, *(nn.Dropout(rate) for rate in DROPOUT[index : index + 1])]
    return nn.Sequential(*layers)


def from_blip(folder: Path, seed: int) -> RewardNetwork:
    """The real one, on the user's own BLIP. UserError for a folder without one."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        blip = BlipForImageTextRetrieval.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, UnpicklingError, SafetensorError) as error:
        raise UserError(
            f"Cannot read a BLIP for image-text retrieval in {folder}; name a folder with "
            "Salesforce/blip-itm-large-coco, say, by the option 'blip'."
        ) from error

    def tokens(prompts: list[str]) -> tuple[Tensor, Tensor]:
        read: Mapping[str, Tensor] = tokenizer(
            prompts, padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt"
        )
        return read["input_ids"], read["attention_mask"]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RewardNetwork(blip.vision_model, blip.text_encoder, tokens)


def for_mini(seed: int) -> RewardNetwork:
    """The same at the mini world's size: 32 pixels, width 96, words of its grammar, untrained."""
    vision = BlipVisionConfig(
        hidden_size=96,
        intermediate_size=288,
        num_hidden_layers=4,
        num_attention_heads=3,
        image_size=32,
        patch_size=4,
        initializer_range=MINI_SPREAD,
    )
    text = BlipTextConfig(
        vocab_size=START + 1,
        hidden_size=96,
        encoder_hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=3,
        max_position_embeddings=LENGTH + 1,
        bos_token_id=START,
        sep_token_id=START,
        initializer_range=MINI_SPREAD,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        seeing, reading = BlipVisionModel(vision), BlipTextModel(text, add_pooling_layer=False)
        return RewardNetwork(seeing, reading, _mini_tokens, MINI_SPREAD)


def _mini_tokens(prompts: list[str]) -> tuple[Tensor, Tensor]:
    words = F.pad(tokenize(prompts), (1, 0), value=START)
    return words, (words != PAD).long()
