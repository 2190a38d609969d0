"""Tiny random models of real architectures, as the libraries save them, for tests of engines that read a folder."""

from __future__ import annotations

import json
from pathlib import Path

CHAT = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
WORDS = " the a of and to in is it was for on with as at by from or an be this that".split(" ")[1:]
SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512,
}  # fmt: skip


def tokenizer(folder: Path, template: str | None = CHAT) -> int:
    """A byte-level tokenizer with a few words, saved; returns its size. Every id below it decodes to valid text."""
    import transformers
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    plain = [chr(c) for c in range(0x21, 0x7F)] + ["\u0120", "\u010a"]  # a space and a line end, in GPT-2's alphabet
    raw = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate(plain)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(t, normalized=False) for t in ("<|start|>", "<|end|>")])
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>")
    made.chat_template = template
    made.save_pretrained(folder)
    return len(made)


def language_model(folder: Path, architecture: str, template: str | None = CHAT) -> Path:
    """A causal model whose logits are random but not flat, saved with its tokenizer."""
    import torch
    import transformers

    vocabulary = tokenizer(folder, template)
    end = vocabulary - 1
    sizes = {**SIZES, "vocab_size": vocabulary, "bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    torch.manual_seed(3)
    match architecture:
        case "llama":
            model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
        case "qwen2":
            model = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**sizes))
        case "gpt-neox":
            sizes.pop("num_key_value_heads")
            model = transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**sizes))
    model.save_pretrained(folder)
    return folder


def voice(folder: Path) -> Path:
    """A VITS voice of letters."""
    import torch
    import transformers

    letters = " abcdefghijklmnopqrstuvwxyz'"
    folder.mkdir(parents=True, exist_ok=True)
    vocab = folder / "letters.json"
    vocab.write_text(json.dumps({c: n for n, c in enumerate(letters)}))
    made = transformers.VitsTokenizer(vocab, pad_token=" ", unk_token="'", phonemize=False, is_uroman=False)
    made.save_pretrained(folder)
    vocab.unlink()
    config = transformers.VitsConfig(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, window_size=2, ffn_dim=16,
        flow_size=16, spectrogram_bins=9, upsample_initial_channel=16, upsample_rates=[8, 8],
        upsample_kernel_sizes=[16, 16], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3, 5]],
        prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1, duration_predictor_num_flows=1,
        duration_predictor_filter_channels=16, wavenet_dilation_rate=1, sampling_rate=16000,
    )  # fmt: skip
    torch.manual_seed(5)
    transformers.VitsModel(config).save_pretrained(folder)
    return folder


def music(folder: Path) -> Path:
    """A MusicGen model: four codebooks of 1,024, 50 frames a second at 16 kHz."""
    import torch
    import transformers

    words = tokenizer(folder)
    said = transformers.T5Config(vocab_size=words, d_model=24, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    heard = transformers.EncodecConfig(
        sampling_rate=16000, target_bandwidths=[2.0], num_filters=4, num_residual_layers=1, upsampling_ratios=[8, 8, 5],
        hidden_size=16, codebook_dim=16, codebook_size=1024, num_lstm_layers=1, norm_type="weight_norm",
    )  # fmt: skip
    made = transformers.MusicgenDecoderConfig(
        vocab_size=1024, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=16, num_codebooks=4,
        pad_token_id=1024, bos_token_id=1024, max_position_embeddings=256,
    )  # fmt: skip
    torch.manual_seed(11)
    parts = {"text_encoder": said.to_dict(), "audio_encoder": heard.to_dict(), "decoder": made.to_dict()}
    model = transformers.MusicgenForConditionalGeneration(transformers.MusicgenConfig(**parts))
    for part in (model.decoder, model.text_encoder, model.enc_to_dec_proj):
        for weights in part.parameters():
            weights.data.mul_(12 if weights.ndim > 1 else 1)  # logits that differ, so that words and steps have a say
    for layer in model.audio_encoder.quantizer.layers:
        layer.codebook.embed.normal_()  # zeros before: every code would sound alike
    model.generation_config.decoder_start_token_id = model.generation_config.pad_token_id = 1024
    model.save_pretrained(folder)
    return folder


def pipeline(folder: Path) -> Path:
    """A Stable Diffusion pipeline of 64 x 64 pixels: its own classes, a few thousand random weights."""
    import diffusers
    import torch
    import transformers

    torch.manual_seed(7)
    letters = [chr(c) for c in range(0x21, 0x7F)]
    vocab = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    tokens = transformers.CLIPTokenizer(vocab={c: n for n, c in enumerate(vocab)}, merges=[], model_max_length=77)
    text = transformers.CLIPTextConfig(
        vocab_size=len(vocab), hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77, bos_token_id=len(vocab) - 2, eos_token_id=len(vocab) - 1,
        pad_token_id=len(vocab) - 1,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(4, 8), layers_per_block=1, sample_size=32, in_channels=4, out_channels=4,
        norm_num_groups=2, attention_head_dim=2, cross_attention_dim=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=[4, 8], in_channels=3, out_channels=3, latent_channels=4, norm_num_groups=2,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
    )  # fmt: skip
    made = diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=transformers.CLIPTextModel(text), tokenizer=tokens, unet=unet,
        scheduler=diffusers.DDIMScheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    made.save_pretrained(folder, safe_serialization=True)
    return folder
