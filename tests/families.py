"""Tiny pipelines with random weights: one of each family that the engine must batch exactly.

Where a text encoder would need a download, the conditioning is random but a function of the prompt's seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

Options = dict[str, Any]


@dataclass(frozen=True)
class Family:
    pipe: Any
    options: Callable[[int], Options]  # the conditioning and size of request `seed`


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unet(**changes: Any) -> UNet2DConditionModel:
    torch.manual_seed(0)
    config: Options = {
        "block_out_channels": (32, 64),
        "layers_per_block": 2,
        "sample_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**config | changes).eval()


def vae(latent_channels: int = 4, **changes: Any) -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=[32, 64],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=latent_channels,
        norm_num_groups=8,
        **changes,
    ).eval()


def clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """A tokenizer that knows single characters."""
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    vocabulary |= {f"{letter}</w>": number + len(letters) for number, letter in enumerate(letters)}
    vocabulary |= {"<|startoftext|>": 512, "<|endoftext|>": 513}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def clip_encoder() -> CLIPTextModel:
    torch.manual_seed(0)
    config = CLIPTextConfig(
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        vocab_size=600,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    return CLIPTextModel(config).eval()


def sd(folder: Path) -> Family:
    pipe = StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(folder),
        unet=unet(),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return Family(
        pipe,
        lambda seed: {"prompt": f"prompt {seed}", "negative_prompt": "bad", "height": 32, "width": 32},
    )


def sdxl(_: Path) -> Family:
    pipe = StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=unet(
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=8 * 6 + 32,
            cross_attention_dim=64,
            transformer_layers_per_block=(1, 2),
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
    )
    return Family(pipe, lambda seed: _embeds(seed, (77, 64), (77, 64), pooled=32, negative_pooled=32))


def sdxl_with_words(folder: Path) -> Family:
    """SDXL with its two text encoders."""
    made = sdxl(folder).pipe
    parts = {name: part for name, part in made.components.items() if part is not None}
    second = clip_encoder().config
    second.projection_dim = 32
    torch.manual_seed(1)
    pipe = StableDiffusionXLPipeline(
        **parts,
        text_encoder=clip_encoder(),
        text_encoder_2=CLIPTextModelWithProjection(second).eval(),
        tokenizer=clip_tokenizer(folder),
        tokenizer_2=clip_tokenizer(folder),
    )
    return Family(pipe, lambda seed: {"prompt": f"prompt {seed}", "height": 32, "width": 32})


def sd3(_: Path, channels: int = 4) -> Family:
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=32,
        patch_size=1,
        in_channels=channels,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        pooled_projection_dim=64,
        out_channels=channels,
    ).eval()
    pipe = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(channels, shift_factor=0.0609, scaling_factor=1.5035),
        **dict.fromkeys(
            [
                "text_encoder",
                "tokenizer",
                "text_encoder_2",
                "tokenizer_2",
                "text_encoder_3",
                "tokenizer_3",
            ]
        ),
    )
    return Family(pipe, lambda seed: _embeds(seed, (20, 32), (20, 32), pooled=64, negative_pooled=64))


def flux(_: Path) -> Family:
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
        guidance_embeds=True,
    ).eval()
    pipe = FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae(shift_factor=0.0609, scaling_factor=1.5035),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
    )
    # Two shapes: their position ids have the same form for equal areas and must still be told apart.
    sizes = ({"height": 32, "width": 32}, {"height": 16, "width": 64})
    return Family(pipe, lambda seed: _embeds(seed, (24, 32), pooled=32) | sizes[seed % 2])


def chroma(_: Path) -> Family:
    torch.manual_seed(0)
    transformer = ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=(4, 4, 8),
        approximator_num_channels=8,
        approximator_hidden_dim=16,
        approximator_layers=1,
    ).eval()
    pipe = ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae(shift_factor=0.0609, scaling_factor=1.5035),
        text_encoder=None,
        tokenizer=None,
        transformer=transformer,
    )
    sizes = ({"height": 32, "width": 32}, {"height": 16, "width": 64})

    def options(seed: int) -> Options:
        mask = torch.ones(1, 12)
        embeds = {
            "prompt_embeds": noise(seed, 1, 12, 32),
            "negative_prompt_embeds": noise(seed + 1, 1, 12, 32),
        }
        return (
            embeds | {"prompt_attention_mask": mask, "negative_prompt_attention_mask": mask} | sizes[seed % 2]
        )

    return Family(pipe, options)


def z_image(_: Path) -> Family:
    torch.manual_seed(0)
    transformer = ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=16,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[8, 4, 4],
        axes_lens=[256, 64, 64],
    ).eval()
    with torch.no_grad():
        transformer.x_pad_token.fill_(1.0)
        transformer.cap_pad_token.fill_(1.0)
    pipe = ZImagePipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(16, scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=None,
        tokenizer=None,
    )
    return Family(
        pipe,
        lambda seed: {  # lists with an item a row: prompts of many lengths, pictures of two sizes
            "prompt_embeds": [noise(seed, 9 + seed % 23, 16)],
            "negative_prompt_embeds": [noise(seed + 1, 5, 16)],
            "height": 32 + 16 * (seed % 2),
            "width": 32,
        },
    )


def krea2(_: Path) -> Family:
    torch.manual_seed(0)
    transformer = Krea2Transformer2DModel(
        in_channels=16,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        timestep_embed_dim=16,
        text_hidden_dim=16,
        num_text_layers=2,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=32,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 6, 6),
    ).eval()
    pipe = Krea2Pipeline(
        transformer=transformer,
        vae=video_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=None,
        tokenizer=None,
    )
    sizes = ({"height": 32, "width": 32}, {"height": 16, "width": 64})

    def options(seed: int) -> Options:
        mask = torch.ones(1, 12, dtype=torch.bool)
        return {
            "prompt_embeds": noise(seed, 1, 12, 2, 16),
            "prompt_embeds_mask": mask,
            "negative_prompt_embeds": noise(seed + 1, 1, 12, 2, 16),
            "negative_prompt_embeds_mask": mask,
        } | sizes[seed % 2]

    return Family(pipe, options)


def video_vae() -> AutoencoderKLQwenImage:
    torch.manual_seed(0)
    return AutoencoderKLQwenImage(
        base_dim=24,
        z_dim=4,
        dim_mult=[1, 2, 4],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.5, 2.0, 0.8, 1.0],
    ).eval()


def qwen(_: Path) -> Family:
    torch.manual_seed(0)
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=3,
        joint_attention_dim=16,
        guidance_embeds=False,
        axes_dims_rope=(8, 4, 4),
    ).eval()
    pipe = QwenImagePipeline(
        transformer=transformer,
        vae=video_vae(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=None,
        tokenizer=None,
    )
    # Equal areas again: the model reads only the first row's shape.
    sizes = ({"height": 32, "width": 32}, {"height": 16, "width": 64})

    def options(seed: int) -> Options:
        mask = torch.ones(1, 12, dtype=torch.long)
        return {
            "prompt_embeds": noise(seed, 1, 12, 16),
            "prompt_embeds_mask": mask,
            "negative_prompt_embeds": noise(seed + 1, 1, 12, 16),
            "negative_prompt_embeds_mask": mask,
            "true_cfg_scale": 2.0 + seed,
        } | sizes[seed % 2]

    return Family(pipe, options)


def flux2_klein(_: Path) -> Family:
    torch.manual_seed(0)
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    ).eval()
    autoencoder = AutoencoderKLFlux2(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        layers_per_block=1,
    ).eval()
    pipe = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder,
        text_encoder=None,
        tokenizer=None,
        transformer=transformer,
    )
    # Equal areas: the model reads only the first row's position ids. Every third starts from a picture.
    sizes = ({"height": 64, "width": 64}, {"height": 32, "width": 128})

    def options(seed: int) -> Options:
        picture = Image.radial_gradient("L").resize((64, 64)).rotate(seed).convert("RGB")
        return {
            "image": picture if seed % 3 == 0 else None,
            "prompt_embeds": noise(seed, 1, 12, 16),
            "negative_prompt_embeds": noise(seed + 1, 1, 12, 16),
        } | sizes[seed % 2]

    return Family(pipe, options)


def flux_kontext(folder: Path) -> Family:
    """FLUX.1 Kontext, which paints by a picture; its VAE makes few latents of the megapixel that it wants."""
    parts = {name: part for name, part in flux(folder).pipe.components.items() if name != "vae"}
    torch.manual_seed(0)
    autoencoder = AutoencoderKL(
        block_out_channels=[8] * 6,
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 6,
        up_block_types=["UpDecoderBlock2D"] * 6,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        shift_factor=0.0609,
        scaling_factor=1.5035,
    ).eval()
    pipe = FluxKontextPipeline(vae=autoencoder, **{"image_encoder": None, "feature_extractor": None, **parts})
    sizes = ({"height": 128, "width": 128}, {"height": 64, "width": 256})

    def options(seed: int) -> Options:
        size = sizes[seed % 2]
        picture = Image.radial_gradient("L").resize((96, 64 + 64 * (seed % 3))).convert("RGB")
        asked = {"image": picture if seed % 4 else None, "max_area": size["height"] * size["width"]}
        return _embeds(seed, (24, 32), pooled=32) | asked | size

    return Family(pipe, options)


def flux2_klein_by_several(folder: Path) -> Family:
    """FLUX.2 klein with none, one or two references of several sizes, some of which have equal areas."""
    pipe = flux2_klein(folder).pipe

    def options(seed: int) -> Options:
        shapes = ((64, 64), (64, 128), (128, 64))
        given = [
            Image.radial_gradient("L").resize(shapes[(seed + number) % 3]).rotate(90 * seed).convert("RGB")
            for number in range(seed % 3)
        ]
        return {
            "image": given or None,
            "prompt_embeds": noise(seed, 1, 12, 16),
            "negative_prompt_embeds": noise(seed + 1, 1, 12, 16),
            "height": 64,
            "width": 64,
        }

    return Family(pipe, options)


def _embeds(
    seed: int,
    positive: tuple[int, int],
    negative: tuple[int, int] | None = None,
    *,
    pooled: int,
    negative_pooled: int = 0,
) -> Options:
    options: Options = {
        "prompt_embeds": noise(seed, 1, *positive),
        "pooled_prompt_embeds": noise(seed + 2, 1, pooled),
        "height": 32,
        "width": 32,
    }
    if negative is not None:
        options["negative_prompt_embeds"] = noise(seed + 1, 1, *negative)
        options["negative_pooled_prompt_embeds"] = noise(seed + 3, 1, negative_pooled)
    return options


FAMILIES: dict[str, Callable[[Path], Family]] = {
    "sd": sd,
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "z_image": z_image,
    "qwen": qwen,
    "flux2_klein": flux2_klein,
    "chroma": chroma,
    "krea2": krea2,
}

REFERENCES: dict[str, Callable[[Path], Family]] = {
    "flux_kontext": flux_kontext,
    "flux2_klein": flux2_klein_by_several,
}
"""Families that paint by references, with some that differ in number and size."""
