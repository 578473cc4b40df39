"""Shapes of published models, as their config.json give them: the fields that tell a size, under their own names."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def llama(
    hidden: int, inner: int, layers: int, heads: int, kv_heads: int, vocabulary: int, context: int, **more: Any
) -> Config:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "torch_dtype": "bfloat16",
        **more,
    }


def latent(hidden: int, layers: int, heads: int, vocabulary: int, **more: Any) -> Config:
    """Attention of DeepSeek V2 and its descendants."""
    return llama(hidden, 0, layers, heads, heads, vocabulary, 163840) | {
        "model_type": "deepseek_v3",
        "architectures": ["DeepseekV3ForCausalLM"],
        "kv_lora_rank": 512,
        "q_lora_rank": 1536,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "num_nextn_predict_layers": 1,
        "moe_layer_freq": 1,
        **more,
    }


_LLAMA_ROPE = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}
_QWEN_WINDOW = {"use_sliding_window": False, "sliding_window": 131072, "max_window_layers": 28}
_QWEN3_MOE = {
    "model_type": "qwen3_moe",
    "head_dim": 128,
    "num_experts_per_tok": 8,
    "num_experts": 128,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}
_GEMMA3_27B = {
    "model_type": "gemma3_text",
    "hidden_size": 5376,
    "intermediate_size": 21504,
    "num_hidden_layers": 62,
    "num_attention_heads": 32,
    "num_key_value_heads": 16,
    "head_dim": 128,
    "sliding_window": 1024,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
}
_GPT_OSS = {
    "model_type": "gpt_oss",
    "architectures": ["GptOssForCausalLM"],
    "head_dim": 64,
    "sliding_window": 128,
    "num_experts_per_tok": 4,
    "experts_per_token": 4,
    "tie_word_embeddings": False,
    "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096},
    "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]},
}
_DEEPSEEK_V3 = {
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
}
_YARN = {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}
_NEXT_TYPES = ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 12
_NEMOTRON = (
    "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-"
    "M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-"
)

CONFIGS: dict[str, Config] = {
    "llama-2-7b": llama(4096, 11008, 32, 32, 32, 32000, 4096),
    "llama-2-70b": llama(8192, 28672, 80, 64, 8, 32000, 4096),
    "llama-3.1-8b": llama(4096, 14336, 32, 32, 8, 128256, 131072, rope_scaling=_LLAMA_ROPE),
    "llama-3.3-70b": llama(8192, 28672, 80, 64, 8, 128256, 131072, rope_scaling=_LLAMA_ROPE),
    "llama-3.1-405b": llama(16384, 53248, 126, 128, 8, 128256, 131072),
    "llama-3.2-1b": llama(2048, 8192, 16, 32, 8, 128256, 131072, head_dim=64, tie_word_embeddings=True),
    "llama-4-scout": {
        "architectures": ["Llama4ForConditionalGeneration"],
        "model_type": "llama4",
        "vision_config": {"hidden_size": 1408, "num_hidden_layers": 34, "num_attention_heads": 16},
        "text_config": llama(5120, 8192, 48, 40, 8, 202048, 10485760)
        | {
            "model_type": "llama4_text",
            "intermediate_size_mlp": 16384,
            "head_dim": 128,
            "attention_chunk_size": 8192,
            "interleave_moe_layer_step": 1,
            "num_local_experts": 16,
            "num_experts_per_tok": 1,
        },
    },
    "mistral-7b-v0.1": llama(4096, 14336, 32, 32, 8, 32000, 32768, model_type="mistral", sliding_window=4096),
    "mistral-small-3.2": {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "model_type": "mistral3",
        "torch_dtype": "bfloat16",
        "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "head_dim": 64},
        "text_config": {
            "model_type": "mistral",
            "hidden_size": 5120,
            "intermediate_size": 32768,
            "num_hidden_layers": 40,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 131072,
            "max_position_embeddings": 131072,
            "sliding_window": None,
        },
    },
    "mixtral-8x7b": llama(4096, 14336, 32, 32, 8, 32000, 32768, num_local_experts=8, num_experts_per_tok=2),
    "mixtral-8x22b": llama(6144, 16384, 56, 48, 8, 32768, 65536, num_local_experts=8, num_experts_per_tok=2),
    "qwen2.5-7b": llama(3584, 18944, 28, 28, 4, 152064, 32768, **_QWEN_WINDOW),
    "qwen2.5-72b": llama(8192, 29568, 80, 64, 8, 152064, 32768, **_QWEN_WINDOW),
    "qwen3-30b-a3b": llama(2048, 6144, 48, 32, 4, 151936, 40960, moe_intermediate_size=768) | _QWEN3_MOE,
    "qwen3-235b-a22b": llama(4096, 12288, 94, 64, 4, 151936, 40960, moe_intermediate_size=1536) | _QWEN3_MOE,
    "qwen3-next-80b-a3b": llama(2048, 5120, 48, 16, 2, 151936, 262144)
    | {
        "model_type": "qwen3_next",
        "head_dim": 256,
        "attn_output_gate": True,
        "layer_types": _NEXT_TYPES,
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 32,
        "linear_value_head_dim": 128,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
        "num_experts": 512,
        "num_experts_per_tok": 10,
    },
    "gemma-2-9b": llama(3584, 14336, 42, 16, 8, 256000, 8192, model_type="gemma2", head_dim=256, sliding_window=4096),
    "gemma-3-27b": {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "torch_dtype": "bfloat16",
        "text_config": _GEMMA3_27B,
    },
    "phi-3-mini": llama(3072, 8192, 32, 32, 32, 32064, 4096, model_type="phi3", sliding_window=2047),
    "phi-4": llama(5120, 17920, 40, 40, 10, 100352, 16384, model_type="phi3", sliding_window=None),
    "falcon-7b": {
        "architectures": ["FalconForCausalLM"],
        "model_type": "falcon",
        "hidden_size": 4544,
        "num_hidden_layers": 32,
        "num_attention_heads": 71,
        "multi_query": True,
        "new_decoder_architecture": False,
        "vocab_size": 65024,
    },
    "falcon-40b": {
        "architectures": ["FalconForCausalLM"],
        "model_type": "falcon",
        "hidden_size": 8192,
        "num_hidden_layers": 60,
        "num_attention_heads": 128,
        "num_kv_heads": 8,
        "multi_query": True,
        "new_decoder_architecture": True,
        "vocab_size": 65024,
    },
    "gpt-oss-20b": llama(2880, 2880, 24, 64, 8, 201088, 131072, num_local_experts=32) | _GPT_OSS,
    "gpt-oss-120b": llama(2880, 2880, 36, 64, 8, 201088, 131072, num_local_experts=128) | _GPT_OSS,
    "deepseek-v3": latent(7168, 61, 128, 129280, n_routed_experts=256, first_k_dense_replace=3, rope_scaling=_YARN)
    | _DEEPSEEK_V3,
    "deepseek-v2-lite": latent(
        2048,
        27,
        16,
        102400,
        q_lora_rank=None,
        intermediate_size=10944,
        moe_intermediate_size=1408,
        n_routed_experts=64,
        n_shared_experts=2,
        num_experts_per_tok=6,
        first_k_dense_replace=1,
    ),
    "kimi-k2": latent(7168, 61, 64, 163840, n_routed_experts=384, first_k_dense_replace=1) | _DEEPSEEK_V3,
    "chatglm-glm-4-9b": {
        "architectures": ["ChatGLMModel"],
        "model_type": "chatglm",
        "hidden_size": 4096,
        "ffn_hidden_size": 13696,
        "num_layers": 40,
        "num_attention_heads": 32,
        "multi_query_attention": True,
        "multi_query_group_num": 2,
        "kv_channels": 128,
        "padded_vocab_size": 151552,
        "seq_length": 131072,
        "torch_dtype": "bfloat16",
    },
    "glm-4.5-air": llama(4096, 10944, 46, 96, 8, 151552, 131072)
    | {
        "model_type": "glm4_moe",
        "head_dim": 128,
        "moe_intermediate_size": 1408,
        "n_routed_experts": 128,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "first_k_dense_replace": 1,
    },
    "dbrx": {
        "architectures": ["DbrxForCausalLM"],
        "model_type": "dbrx",
        "d_model": 6144,
        "n_layers": 40,
        "n_heads": 48,
        "attn_config": {"kv_n_heads": 8},
        "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
        "vocab_size": 100352,
        "max_seq_len": 32768,
    },
    "mpt-7b": {"model_type": "mpt", "d_model": 4096, "n_layers": 32, "n_heads": 32, "vocab_size": 50432}
    | {"max_seq_len": 2048, "architectures": ["MPTForCausalLM"]},
    "starcoder": {
        "architectures": ["GPTBigCodeForCausalLM"],
        "model_type": "gpt_bigcode",
        "n_embd": 6144,
        "n_inner": 24576,
        "n_layer": 40,
        "n_head": 48,
        "n_positions": 8192,
        "multi_query": True,
        "vocab_size": 49152,
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_inner": None}
    | {"vocab_size": 50257, "architectures": ["GPT2LMHeadModel"]},
    "opt-125m": {
        "architectures": ["OPTForCausalLM"],
        "model_type": "opt",
        "hidden_size": 768,
        "ffn_dim": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "activation_function": "relu",
        "max_position_embeddings": 2048,
        "vocab_size": 50272,
        "torch_dtype": "float16",
    },
    "nemotron-h-56b": {
        "architectures": ["NemotronHForCausalLM"],
        "model_type": "nemotron_h",
        "hybrid_override_pattern": _NEMOTRON,
        "hidden_size": 8192,
        "intermediate_size": 32768,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "attention_head_dim": 128,
        "mamba_num_heads": 256,
        "mamba_head_dim": 64,
        "ssm_state_size": 256,
        "n_groups": 8,
        "conv_kernel": 4,
        "vocab_size": 131072,
        "max_position_embeddings": 8192,
    },
    "jamba-v0.1": llama(4096, 14336, 32, 32, 8, 65536, 262144)
    | {
        "model_type": "jamba",
        "num_experts": 16,
        "num_experts_per_tok": 2,
        "attn_layer_period": 8,
        "attn_layer_offset": 4,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 16,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "mamba_dt_rank": 256,
    },
    "granite-4.0-h-small": llama(4096, 768, 40, 32, 8, 100352, 131072)
    | {
        "model_type": "granitemoehybrid",
        "layer_types": ["attention" if layer in (5, 15, 25, 35) else "mamba" for layer in range(40)],
        "shared_intermediate_size": 1536,
        "num_local_experts": 72,
        "num_experts_per_tok": 10,
        "mamba_n_heads": 128,
        "mamba_d_head": 64,
        "mamba_d_state": 128,
        "mamba_n_groups": 1,
        "mamba_d_conv": 4,
        "mamba_expand": 2,
        "tie_word_embeddings": True,
    },
    "minimax-text-01": llama(6144, 9216, 80, 64, 8, 200064, 10240000)
    | {
        "model_type": "minimax_text_01",
        "head_dim": 128,
        "num_local_experts": 32,
        "num_experts_per_tok": 2,
        "attn_type_list": [0, 0, 0, 0, 0, 0, 0, 1] * 10,
    },
    "bge-m3": {
        "architectures": ["XLMRobertaModel"],
        "model_type": "xlm-roberta",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
        "max_position_embeddings": 8194,
        "vocab_size": 250002,
        "torch_dtype": "float32",
    },
    "nomic-embed-text-v1.5": {
        "architectures": ["NomicBertModel"],
        "model_type": "nomic_bert",
        "n_embd": 768,
        "n_inner": 3072,
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 8192,
        "activation_function": "swiglu",
        "vocab_size": 30528,
    },
    "modernbert-base": {
        "architectures": ["ModernBertForMaskedLM"],
        "model_type": "modernbert",
        "hidden_size": 768,
        "intermediate_size": 1152,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "hidden_activation": "gelu",
        "max_position_embeddings": 8192,
        "vocab_size": 50368,
        "torch_dtype": "float32",
    },
}
