"""Make small encoders with transformers, and their vectors with sentence-transformers.

It needs an environment of its own, since the project uses neither:

    python -m venv /tmp/encoders
    /tmp/encoders/bin/pip install torch transformers sentence-transformers
    /tmp/encoders/bin/python tests/data/encoders/make.py [the directory of all-MiniLM-L6-v2]

The weights are random and much larger than those of a fresh model, so that each part of a network
tells in its vectors.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

HERE = Path(__file__).parent
LONG = "The parcel arrived two days late and the box was crushed, so I want my money back. "
TEXTS = [
    "The parcel arrived two days late and the box was crushed.",
    "Wie wird das Wetter morgen in Hamburg?",
    "def mean(xs): return sum(xs) / len(xs)",
    "Play some jazz, please",
    "play SOME jazz please!",
    "",
    " ",
    "a",
    "ünïcode 漢字 🙂 ﬁn",
    "tabs\tand\nnew lines,   and spaces ",
    "<pad> [PAD] </s> [SEP] <mask>",
    "antidisestablishmentarianism",
    LONG,
    LONG * 3,
    LONG * 40,
    "0123456789 " * 12,
    "book a table for two at eight",
    "What is the exchange rate of the dollar to the yen?",
    "I don't know why it's broken; can't you help?",
    "Müßiggang ist aller Laster Anfang.",
]
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 24}


def word_pieces(special: list[str], *, cls: str, sep: str, unk: str) -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token=unk))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special)
    made.train_from_iterator(TEXTS, trainer)
    ids = [(cls, made.token_to_id(cls)), (sep, made.token_to_id(sep))]
    made.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B:1 {sep}:1", special_tokens=ids
    )
    return made


def byte_pairs() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=ROBERTA_SPECIAL, initial_alphabet=alphabet
    )
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return made


def unigrams() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=ROBERTA_SPECIAL, unk_token="<unk>"
    )
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return made


def save(name, model, tokenizer, *, pooling, normalise, special, max_tokens=None, prefix=None):
    """Write the encoder `name`, reload it as users do, and return its vectors."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(sum(name.encode()))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            centre = 1.0 if "orm.weight" in key else 0.0
            scale = 0.1 if parameter.ndim == 1 else 0.4
            parameter.copy_(centre + scale * noise)
    bare = folder / "bare"
    model.save_pretrained(bare)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(bare)
    network = Transformer(str(bare), max_seq_length=max_tokens)
    modules = [network, Pooling(model.config.hidden_size, pooling)]
    modules += [Normalize()] if normalise else []
    prompts = {"prompts": {"query": prefix}, "default_prompt_name": "query"} if prefix else {}
    whole = SentenceTransformer(modules=modules, device="cpu", **prompts)
    whole.save(str(folder), create_model_card=False)
    shutil.rmtree(bare)
    shutil.rmtree(folder / "2_Normalize", ignore_errors=True)  # nothing needs it
    pieces = folder / "tokenizer.json"
    pieces.write_text(json.dumps(json.loads(pieces.read_text()), ensure_ascii=False))
    return SentenceTransformer(str(folder), device="cpu").encode(TEXTS)


def main():
    bert_names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    bert_names |= {"sep_token": "[SEP]", "mask_token": "[MASK]"}
    roberta_names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>"}
    roberta_names |= {"sep_token": "</s>", "mask_token": "<mask>"}
    pieces = word_pieces(BERT_SPECIAL, cls="[CLS]", sep="[SEP]", unk="[UNK]")
    mpnet_pieces = word_pieces(ROBERTA_SPECIAL, cls="<s>", sep="</s>", unk="<unk>")
    vectors = {
        "bert": save(
            "bert",
            BertModel(BertConfig(vocab_size=160, max_position_embeddings=64, **SIZES)),
            pieces,
            pooling="mean",
            normalise=True,
            special=bert_names,
            max_tokens=48,
        ),
        "roberta": save(
            "roberta",
            RobertaModel(
                RobertaConfig(
                    vocab_size=290,
                    max_position_embeddings=66,
                    type_vocab_size=1,
                    hidden_act="gelu_new",
                    layer_norm_eps=1e-5,
                    **SIZES,
                )
            ),
            byte_pairs(),
            pooling="cls",
            normalise=True,
            special=roberta_names,
            max_tokens=64,
        ),
        "xlm-roberta": save(
            "xlm-roberta",
            XLMRobertaModel(
                XLMRobertaConfig(
                    vocab_size=160, max_position_embeddings=66, type_vocab_size=1, **SIZES
                )
            ),
            unigrams(),
            pooling="mean",
            normalise=False,
            special=roberta_names,
            max_tokens=40,
            prefix="query: ",
        ),
        "mpnet": save(
            "mpnet",
            MPNetModel(MPNetConfig(vocab_size=160, max_position_embeddings=142, **SIZES)),
            mpnet_pieces,
            pooling="mean",
            normalise=True,
            special=roberta_names,
            max_tokens=140,
        ),
        "distilbert": save(
            "distilbert",
            DistilBertModel(
                DistilBertConfig(
                    vocab_size=160,
                    max_position_embeddings=64,
                    dim=16,
                    n_layers=2,
                    n_heads=2,
                    hidden_dim=24,
                    activation="relu",
                )
            ),
            pieces,
            pooling="cls",
            normalise=False,
            special=bert_names,
        ),
    }
    if len(sys.argv) > 1:
        vectors["local-minilm"] = SentenceTransformer(sys.argv[1], device="cpu").encode(TEXTS)
    (HERE / "texts.json").write_text(json.dumps(TEXTS, ensure_ascii=False, indent=0) + "\n")
    np.savez_compressed(HERE / "vectors.npz", **vectors)


if __name__ == "__main__":
    main()
