"""Names to "module:attribute" strings, loaded on first use; other packages add theirs.

A package adds a method by an entry point in the group ``bench.methods`` (likewise
``bench.metrics``, ``bench.encoders``, ``bench.regions``, ``bench.backbones``) or, inside one
process, by ``registry.add``. Built-in names win over entry points; a clash is an error.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from bench.errors import UserError, unknown

Kind = Literal["method", "metric", "encoder", "region", "backbone"]

BUILT_IN: dict[Kind, dict[str, str]] = {
    "method": {
        "sft-base": "bench.methods.sft_base:SftBase",
        "sft-additional": "bench.methods.sft_additional:SftAdditional",
        "sfo": "bench.methods.sfo:Sfo",
        "sfo-direct": "bench.methods.sfo_direct:SfoDirect",
        "self-play": "bench.methods.self_play:SelfPlay",
        "dpo-dino": "bench.methods.dpo_dino:DpoDino",
        "ddpo": "bench.methods.ddpo:Ddpo",
        "rpo": "bench.methods.rpo:Rpo",
        "dreambooth": "bench.methods.dreambooth:DreamBooth",
        "textual-inversion": "bench.methods.textual_inversion:TextualInversion",
        "dreambooth-ti": "bench.methods.dreambooth_ti:DreamBoothTi",
        "classdiffusion": "bench.methods.classdiffusion:ClassDiffusion",
        "siso": "bench.methods.siso:Siso",
        "siso-edit": "bench.methods.siso_edit:SisoEdit",
        "oracle": "bench.methods.anchors:Oracle",
        "copy-reference": "bench.methods.anchors:CopyReference",
        "wrong-subject": "bench.methods.anchors:WrongSubject",
        "text-only": "bench.methods.text_only:TextOnly",
        "checkpoint": "bench.methods.checkpoint:Checkpoint",
        "noise": "bench.methods.anchors:Noise",
        "copy-source": "bench.methods.edit_anchors:CopySource",
        "oracle-edit": "bench.methods.edit_anchors:OracleEdit",
        "kontext": "bench.methods.kontext:Kontext",
        "diptych": "bench.methods.diptych:Diptych",
        "ip-adapter": "bench.methods.ip_adapter:IpAdapter",
        "ip-adapter-flux": "bench.methods.ip_adapter_flux:IpAdapterFlux",
        "instruct-pix2pix": "bench.methods.instruct_pix2pix:InstructPix2Pix",
        "external": "bench.methods.external:External",
    },
    "metric": {
        "dino": "bench.metrics.dino:Dino",
        "clip_i": "bench.metrics.clip_i:ClipI",
        "clip_t": "bench.metrics.clip_t:ClipT",
        "clip_score": "bench.metrics.clip_t:ClipScore",
        "clip_score_bare": "bench.metrics.clip_t:ClipScoreBare",
        "ir": "bench.metrics.ir:Ir",
        "pick_score": "bench.metrics.pickscore:PickScore",
        "dreamsim": "bench.metrics.dreamsim:DreamSim",
        "fid": "bench.metrics.fid:Fid",
        "kid": "bench.metrics.kid:Kid",
        "cmmd": "bench.metrics.cmmd:Cmmd",
        "cmmd_unbiased": "bench.metrics.cmmd:CmmdUnbiased",
        "lpips": "bench.metrics.lpips:Lpips",
        "mse": "bench.metrics.mse:Mse",
        "diversity_lpips": "bench.metrics.diversity:LpipsDiversity",
        "diversity_mse": "bench.metrics.diversity:MseDiversity",
        "background_similarity": "bench.metrics.copy_paste:BackgroundSimilarity",
        "above_ceiling": "bench.metrics.copy_paste:AboveCeiling",
        "grounded": "bench.metrics.grounded:Grounded",
    },
    "encoder": {
        "dino-vits16": "bench.metrics.encoders:dino_vits16",
        "dino-vits8": "bench.metrics.encoders:dino_vits8",
        "dino-vitb16": "bench.metrics.encoders:dino_vitb16",
        "dino-vitb8": "bench.metrics.encoders:dino_vitb8",
        "dinov2-vits14": "bench.metrics.encoders:dinov2_vits14",
        "dinov2-vitb14": "bench.metrics.encoders:dinov2_vitb14",
        "dinov2-vitl14": "bench.metrics.encoders:dinov2_vitl14",
        "dinov2-vitl14-518": "bench.metrics.encoders:dinov2_vitl14_518",
        "dinov2-vitg14": "bench.metrics.encoders:dinov2_vitg14",
        "clip-vitb32-openai": "bench.metrics.encoders:clip_vitb32_openai",
        "clip-vitb16-openai": "bench.metrics.encoders:clip_vitb16_openai",
        "clip-vitl14-openai": "bench.metrics.encoders:clip_vitl14_openai",
        "clip-vitl14-336-openai": "bench.metrics.encoders:clip_vitl14_336_openai",
        "dino-vits16-hf": "bench.metrics.encoders:dino_vits16_hf",
        "dino-vits16-dreammatcher": "bench.metrics.encoders:dino_vits16_dreammatcher",
        "clip-vitb32-dreammatcher": "bench.metrics.encoders:clip_vitb32_dreammatcher",
        "ir-guie-vith14": "bench.metrics.ir:ir_guie_vith14",
        "pickscore-v1": "bench.metrics.pickscore:pickscore_v1",
        "align-base": "bench.metrics.align:align_base",
        "dreamsim-ensemble": "bench.metrics.dreamsim:dreamsim_ensemble",
        "dreamsim-dino-vitb16": "bench.metrics.dreamsim:dreamsim_dino_vitb16",
        "dreamsim-clip-vitb32": "bench.metrics.dreamsim:dreamsim_clip_vitb32",
        "dreamsim-open-clip-vitb32": "bench.metrics.dreamsim:dreamsim_open_clip_vitb32",
        "inception-2015-clean": "bench.metrics.inception_encoders:inception_2015_clean",
        "inception-2015-legacy": "bench.metrics.inception_encoders:inception_2015_legacy",
        "inception-2015-tf": "bench.metrics.inception_encoders:inception_2015_tf",
        "lpips-alex": "bench.metrics.comparers:lpips_alex",
        "lpips-vgg": "bench.metrics.comparers:lpips_vgg",
        "lpips-squeeze": "bench.metrics.comparers:lpips_squeeze",
        "pixels": "bench.metrics.comparers:pixels",
        "mini-dino": "bench.metrics.mini_encoders:mini_dino",
        "mini-clip": "bench.metrics.mini_encoders:mini_clip",
    },
    "region": {
        "box": "bench.metrics.cutters:Box",
        "subject": "bench.metrics.cutters:Subject",
        "background": "bench.metrics.cutters:Background",
        "mini-box": "bench.metrics.mini_regions:MiniBox",
        "mini-subject": "bench.metrics.mini_regions:MiniSubject",
        "mini-background": "bench.metrics.mini_regions:MiniBackground",
    },
    "backbone": {
        "mini": "bench.methods.backbones.mini:load",
        "flux-dev": "bench.methods.backbones.flux_dev:load",
        "flux-schnell": "bench.methods.backbones.flux_schnell:load",
        "flux-kontext": "bench.methods.backbones.flux_kontext:load",
        "flux-inpainting": "bench.methods.backbones.flux_inpainting:load",
        "flux-ip-adapter": "bench.methods.backbones.flux_ip_adapter:load",
        "sd15": "bench.methods.backbones.sd15:load",
        "instruct-pix2pix": "bench.methods.backbones.instruct_pix2pix:load",
        "sd21": "bench.methods.backbones.sd21:load",
        "sd21-768": "bench.methods.backbones.sd21:load_768",
        "sd-turbo": "bench.methods.backbones.sd_turbo:load",
        "sdxl-turbo": "bench.methods.backbones.sdxl_turbo:load",
        "sana": "bench.methods.backbones.sana:load",
        "sana-512": "bench.methods.backbones.sana:load_512",
        "sdxl": "bench.methods.backbones.sdxl:load",
        "sdxl-ip-adapter-vit-h": "bench.methods.backbones.sdxl:load_vit_h",
        "sdxl-ip-adapter-plus": "bench.methods.backbones.sdxl:load_plus",
    },
}
_added: dict[Kind, dict[str, str]] = {kind: {} for kind in BUILT_IN}


def add(kind: Kind, name: str, target: str) -> None:
    """Register ``target`` ("module:attribute") under a name that nothing else has."""
    if name in names(kind):
        raise UserError(f"The {kind} '{name}' is registered already; choose another name.")
    _added[kind][name] = target


def names(kind: Kind) -> dict[str, str]:
    """Every known name with its target; nothing is imported."""
    known = {**BUILT_IN[kind], **_added[kind]}
    for entry in _declared(kind):
        if entry.name in known and known[entry.name] != entry.value:
            raise UserError(
                f"Two packages register the {kind} '{entry.name}' ({known[entry.name]} and "
                f"{entry.value}); uninstall one of them."
            )
        known[entry.name] = entry.value
    return known


@cache
def _declared(kind: Kind) -> tuple[EntryPoint, ...]:
    """What installed packages add; reading it takes long, and none is installed meanwhile."""
    return tuple(entry_points(group=f"bench.{kind}s"))


def require(kind: Kind, name: str) -> str:
    """The name itself, nothing imported. UserError when nothing answers to it."""
    known = names(kind)
    if name not in known:
        raise unknown(kind, name, known)
    return name


def load(kind: Kind, name: str) -> Any:
    """Import what a name stands for. UserError for unknown names."""
    module, _, attribute = names(kind)[require(kind, name)].partition(":")
    return getattr(import_module(module), attribute)
