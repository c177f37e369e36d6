"""A tiny twin with random weights of each class in the matrix: those of `tests.families`, and more.

Where a text encoder would need a download, the conditioning is random but a function of the request's seed.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.guiders import AdaptiveProjectedMixGuidance
from PIL import Image

from tests.families import FAMILIES, Family, Options, clip_encoder, clip_tokenizer, noise, sd3, unet, vae

SQUARE: Options = {"height": 32, "width": 32}
WORDS = 12  # tokens of a prompt
FLOW = diffusers.FlowMatchEulerDiscreteScheduler


def picture(side: int = 64) -> Image.Image:
    return Image.radial_gradient("L").resize((side, side)).convert("RGB")


def mask(side: int = 64) -> Image.Image:
    return Image.linear_gradient("L").resize((side, side)).point(lambda value: 255 * (value > 127))


def made(kind: Callable[..., Any], **config: Any) -> Any:
    torch.manual_seed(0)
    return kind(**config).eval()


def silent(kind: str, folder: Path, **parts: Any) -> Any:
    """A pipeline whose text encoders are asked nothing: CLIP's stand in for those that it cannot lack."""
    pipeline = getattr(diffusers, kind)
    names = pipeline._get_signature_keys(pipeline)[0]
    needed = [name for name in names if name not in (*pipeline._optional_components, *parts)]
    encoders = {name: clip_encoder() for name in needed if name.startswith("text_encoder")}
    tokenizers = {name: clip_tokenizer(folder) for name in needed if name.startswith(("tokenizer", "proc"))}
    return pipeline(**dict.fromkeys(names) | encoders | tokenizers | parts)


def whole(pipe: Any, folder: Path) -> Any:
    """A pipeline that can be loaded: with stand-ins for the text encoders that it lacks."""
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    lacking = pipe.components.keys() - parts.keys() - set(pipe._optional_components)
    return silent(type(pipe).__name__, folder, **parts) if lacking else pipe


def words(seed: int, width: int, *, masked: bool = False, more: Options | None = None) -> Options:
    """A prompt's embeddings and those of its negative prompt."""
    given: Options = {
        "prompt_embeds": noise(seed, 1, WORDS, width),
        "negative_prompt_embeds": noise(seed + 1, 1, WORDS, width),
        "negative_prompt": None,  # some have "" as the default, and take but one of the two
    }
    if masked:
        ones = torch.ones(1, WORDS, dtype=torch.long)
        given |= {"prompt_attention_mask": ones, "negative_prompt_attention_mask": ones}
    return SQUARE | given | (more or {})


def again(twin: str, kind: str, **more: Any) -> Callable[[Path], Family]:
    """Another class over the parts of a twin."""

    def make(folder: Path) -> Family:
        family = FAMILIES[twin](folder)
        parts = {name: part for name, part in family.pipe.components.items() if part is not None}
        accepted = getattr(diffusers, kind)._get_signature_keys(getattr(diffusers, kind))[0]
        parts = {name: part for name, part in parts.items() if name in accepted}
        known = inspect.signature(getattr(diffusers, kind).__call__).parameters

        def options(seed: int) -> Options:
            return {k: v for k, v in family.options(seed).items() if k in known} | more

        return Family(silent(kind, folder, **parts), options)

    return make


def lcm(folder: Path) -> Family:
    pipe = FAMILIES["sd"](folder).pipe
    scheduler = diffusers.LCMScheduler.from_config(pipe.scheduler.config)
    parts = pipe.components | {"scheduler": scheduler, "unet": unet(time_cond_proj_dim=32)}
    made = diffusers.LatentConsistencyModelPipeline(**parts, requires_safety_checker=False)
    return Family(made, lambda seed: {"prompt": f"prompt {seed}"} | SQUARE)


def flux_fill(folder: Path) -> Family:
    transformer = made(
        diffusers.FluxTransformer2DModel,
        patch_size=1,
        in_channels=48,  # latents, those of the masked picture, and 2 × 2 patches of the mask
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
        guidance_embeds=True,
    )
    pipe = silent(
        "FluxFillPipeline",
        folder,
        transformer=transformer,
        scheduler=FLOW(use_dynamic_shifting=True),
        vae=vae(shift_factor=0.0609, scaling_factor=1.5035),
    )

    def options(seed: int) -> Options:
        embeds = {"prompt_embeds": noise(seed, 1, WORDS, 32), "pooled_prompt_embeds": noise(seed, 1, 32)}
        return SQUARE | embeds | {"image": picture(), "mask_image": mask()}

    return Family(pipe, options)


def sana(folder: Path) -> Family:
    transformer = made(
        diffusers.SanaTransformer2DModel,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=8,
        sample_size=32,
    )
    autoencoder = made(
        diffusers.AutoencoderDC,
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=[1, 1],
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    pipe = silent("SanaPipeline", folder, transformer=transformer, vae=autoencoder, scheduler=FLOW(shift=7.0))
    more = {"use_resolution_binning": False, "complex_human_instruction": None}
    return Family(pipe, lambda seed: words(seed, 8, masked=True, more=more))


def lumina2(folder: Path) -> Family:
    transformer = made(
        diffusers.Lumina2Transformer2DModel,
        sample_size=4,
        patch_size=2,
        in_channels=4,
        hidden_size=8,
        num_layers=2,
        num_attention_heads=1,
        num_kv_heads=1,
        multiple_of=16,
        axes_dim_rope=[4, 2, 2],
        cap_feat_dim=8,
    )
    parts = {"vae": vae(shift_factor=0.0609, scaling_factor=1.5035), "scheduler": FLOW()}
    pipe = silent("Lumina2Pipeline", folder, transformer=transformer, **parts)
    return Family(pipe, lambda seed: words(seed, 8, masked=True))


def aura_flow(folder: Path) -> Family:
    transformer = made(
        diffusers.AuraFlowTransformer2DModel,
        sample_size=32,
        patch_size=2,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        out_channels=4,
        pos_embed_max_size=256,
    )
    pipe = silent("AuraFlowPipeline", folder, transformer=transformer, vae=vae(), scheduler=FLOW())
    return Family(pipe, lambda seed: words(seed, 32, masked=True))


def cogview4(folder: Path) -> Family:
    transformer = made(
        diffusers.CogView4Transformer2DModel,
        patch_size=2,
        in_channels=4,
        num_layers=2,
        attention_head_dim=4,
        num_attention_heads=4,
        out_channels=4,
        text_embed_dim=32,
        time_embed_dim=8,
        condition_dim=4,
    )
    scheduler = FLOW(
        base_shift=0.25,
        max_shift=0.75,
        base_image_seq_len=256,
        use_dynamic_shifting=True,
        time_shift_type="linear",
    )
    pipe = silent("CogView4Pipeline", folder, transformer=transformer, vae=vae(), scheduler=scheduler)
    return Family(pipe, lambda seed: words(seed, 32))


def ovis(folder: Path) -> Family:
    transformer = made(
        diffusers.OvisImageTransformer2DModel,
        patch_size=1,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    parts = {"vae": vae(shift_factor=0.0609, scaling_factor=1.5035), "scheduler": FLOW()}
    pipe = silent("OvisImagePipeline", folder, transformer=transformer, **parts)
    return Family(pipe, lambda seed: words(seed, 32))


def bria(folder: Path) -> Family:
    transformer = made(
        diffusers.BriaTransformer2DModel,
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=None,
        axes_dims_rope=[0, 4, 4],
    )
    parts = {"vae": vae(shift_factor=0, scaling_factor=0.13025), "scheduler": FLOW()}
    pipe = silent("BriaPipeline", folder, transformer=transformer, **parts)
    return Family(pipe, lambda seed: words(seed, 32))


def hunyuan_image(folder: Path) -> Family:
    transformer = made(
        diffusers.HunyuanImageTransformer2DModel,
        in_channels=4,
        out_channels=4,
        num_attention_heads=4,
        attention_head_dim=8,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=(1, 1),
        guidance_embeds=False,
        text_embed_dim=32,
        text_embed_2_dim=32,
        rope_axes_dim=(4, 4),
    )
    autoencoder = made(
        diffusers.AutoencoderKLHunyuanImage,
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(32, 64, 64, 64),
        layers_per_block=1,
        scaling_factor=0.476986,
        spatial_compression_ratio=8,
        sample_size=128,
    )
    pipe = silent(
        "HunyuanImagePipeline",
        folder,
        transformer=transformer,
        vae=autoencoder,
        scheduler=FLOW(shift=7.0),
        guider=AdaptiveProjectedMixGuidance(adaptive_projected_guidance_start_step=2),
        ocr_guider=AdaptiveProjectedMixGuidance(adaptive_projected_guidance_start_step=3),
    )

    def options(seed: int) -> Options:
        ones = torch.ones(1, WORDS, dtype=torch.long)
        masks = ("prompt_embeds_mask", "negative_prompt_embeds_mask")
        given = words(seed, 32) | {name: ones for each in masks for name in (each, f"{each}_2")}
        second = {f"{name}_2": noise(seed + 7, 1, WORDS, 32) for name in given if name.endswith("embeds")}
        return given | second

    return Family(pipe, options)


def hidream(folder: Path) -> Family:
    transformer = made(
        diffusers.HiDreamImageTransformer2DModel,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_channels=[32, 16],
        text_emb_dim=64,
        num_routed_experts=4,
        num_activated_experts=2,
        axes_dims_rope=(4, 2, 2),
        max_resolution=(32, 32),
        llama_layers=(0, 1),
    )
    parts = {"vae": vae(scaling_factor=0.3611, shift_factor=0.1159), "scheduler": FLOW()}
    pipe = silent("HiDreamImagePipeline", folder, transformer=transformer, **parts)

    def options(seed: int) -> Options:
        given = SQUARE
        for number, side in enumerate(("", "negative_")):
            given = given | {
                f"{side}prompt_embeds_t5": noise(seed + number, 1, WORDS, 32),
                f"{side}prompt_embeds_llama3": noise(seed + number, 2, 1, WORDS, 16),
                f"{side}pooled_prompt_embeds": noise(seed + number, 1, 64),
            }
        return given

    return Family(pipe, options)


def kandinsky3(folder: Path) -> Family:
    unet = made(
        diffusers.Kandinsky3UNet,
        in_channels=4,
        time_embedding_dim=4,
        groups=2,
        attention_head_dim=4,
        layers_per_block=3,
        block_out_channels=(32, 64),
        cross_attention_dim=4,
        encoder_hid_dim=32,
    )
    movq = made(
        diffusers.VQModel,
        block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        in_channels=3,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=8,
        norm_type="spatial",
        num_vq_embeddings=12,
        out_channels=3,
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
        vq_embed_dim=4,
    )
    scheduler = diffusers.DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        steps_offset=1,
        beta_schedule="squaredcos_cap_v2",
        clip_sample=True,
        thresholding=False,
    )
    pipe = silent("Kandinsky3Pipeline", folder, unet=unet, movq=movq, scheduler=scheduler)
    masks = dict.fromkeys(("attention_mask", "negative_attention_mask"), torch.ones(1, WORDS))
    return Family(pipe, lambda seed: words(seed, 32, more=masks))


def kandinsky5(folder: Path) -> Family:
    transformer = made(
        diffusers.Kandinsky5Transformer3DModel,
        in_visual_dim=16,
        in_text_dim=32,
        in_text_dim2=16,
        time_dim=16,
        out_visual_dim=16,
        patch_size=(1, 2, 2),
        model_dim=16,
        ff_dim=32,
        num_text_blocks=1,
        num_visual_blocks=2,
        axes_dims=(1, 1, 2),
        visual_cond=False,
        attention_type="regular",
    )
    parts = {"vae": vae(16, scaling_factor=0.3611, shift_factor=0.1159), "scheduler": FLOW(shift=7.0)}
    pipe = silent("Kandinsky5T2IPipeline", folder, transformer=transformer, **parts)

    def options(seed: int) -> Options:
        given: Options = {"height": 64, "width": 64}
        for number, side in enumerate(("", "negative_")):
            given |= {
                f"{side}prompt_embeds_qwen": noise(seed + number, 1, WORDS, 32),
                f"{side}prompt_embeds_clip": noise(seed + number, 1, 16),
                f"{side}prompt_cu_seqlens": torch.tensor([0, WORDS], dtype=torch.int32),
            }
        return given

    return Family(pipe, options)


def pixart_sigma(folder: Path) -> Family:
    transformer = made(
        diffusers.PixArtTransformer2DModel,
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=32,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
    )
    parts = {"vae": vae(), "scheduler": diffusers.DDIMScheduler(clip_sample=False)}
    pipe = silent("PixArtSigmaPipeline", folder, transformer=transformer, **parts)
    return Family(pipe, lambda seed: words(seed, 32, masked=True, more={"use_resolution_binning": False}))


def _small(own: Callable[[int, float], Any], area: int, ratio: float) -> Any:
    return own(64 * 64, ratio)


def qwen_edit(kind: str) -> Callable[[Path], Family]:
    """A pipeline that scales its source to 1024 × 1024 pixels: here to 64 × 64."""

    def make(folder: Path) -> Family:
        for each in (kind, "QwenImageEditInpaintPipeline"):
            module: Any = sys.modules[getattr(diffusers, each).__module__]
            if not isinstance(module.calculate_dimensions, functools.partial):
                module.calculate_dimensions = functools.partial(_small, module.calculate_dimensions)
        return again("qwen", kind, image=picture(64))(folder)

    return make


def flux2(folder: Path) -> Family:
    family = again("flux2_klein", "Flux2Pipeline")(folder)
    return Family(family.pipe, lambda seed: {k: v for k, v in family.options(seed).items() if k != "image"})


TWINS: dict[str, Callable[[Path], Family]] = {
    "Stable Diffusion": FAMILIES["sd"],
    "LCM": lcm,
    "Stable Diffusion XL": FAMILIES["sdxl"],
    "SDXL with PAG": again("sdxl", "StableDiffusionXLPAGPipeline"),
    "Stable Diffusion 3": lambda folder: sd3(folder, channels=16),  # inpainting asks for so many
    "FLUX.1": FAMILIES["flux"],
    "FLUX.1 Kontext": again("flux", "FluxKontextPipeline", _auto_resize=False, max_area=32 * 32),
    "FLUX.1 Fill": flux_fill,
    "FLUX.2": flux2,
    "FLUX.2 klein": FAMILIES["flux2_klein"],
    "Z-Image": FAMILIES["z_image"],
    "Qwen-Image": FAMILIES["qwen"],
    "Qwen-Image-Edit": qwen_edit("QwenImageEditPipeline"),
    "Qwen-Image-Edit-Plus": qwen_edit("QwenImageEditPlusPipeline"),
    "Sana": sana,
    "Lumina 2": lumina2,
    "Chroma": FAMILIES["chroma"],
    "AuraFlow": aura_flow,
    "CogView4": cogview4,
    "Ovis": ovis,
    "Bria": bria,
    "HunyuanImage 2.1": hunyuan_image,
    "HiDream": hidream,
    "Kandinsky 3": kandinsky3,
    "Kandinsky 5": kandinsky5,
    "PixArt-Σ": pixart_sigma,
    "Krea 2": FAMILIES["krea2"],
}
