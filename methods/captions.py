"""Captions that are wrong about the subject: read from a file, or written by a local model.

Source: SFO (arXiv 2506.03621), Sec. E: a short description of the image, after the example of its
prompt, with details that are wrong on purpose. The wording asked with is this repository's own.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from bench.api import Progress, silent
from bench.errors import UserError
from bench.methods.corpora import Corpus, Triplet
from bench.store import write_atomically

QUERY = (
    "Write one short English caption for the object in this picture, in the style of this one: "
    "{prompt}. Get some details of the object wrong on purpose, such as its colour or its shape. "
    "Answer with the caption alone."
)
LONGEST = 64
"""Tokens of an answer."""


class Captioner(Protocol):
    """Says something wrong about a triplet's target."""

    def caption(self, triplet: Triplet) -> str: ...


class LocalCaptioner:
    """Any image-text-to-text model of transformers with a chat template, decoding greedily."""

    def __init__(self, folder: Path) -> None:
        """UserError when the folder holds no such model; nothing is downloaded."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        cuda = torch.cuda.is_available()
        self.folder, self.device = folder, torch.device("cuda" if cuda else "cpu")
        try:
            if not folder.is_dir():
                raise OSError("there is no such folder")
            self.processor = AutoProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            model = AutoModelForImageTextToText.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.bfloat16 if cuda else torch.float32,
            )
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{folder} holds no image-text-to-text model that transformers can load "
                f"({reason}); give the folder of a whole one, with its processor."
            ) from error
        if not getattr(self.processor, "chat_template", None):
            raise UserError(f"The model in {folder} has no chat template; give one that has.")
        self.model = model.to(self.device).eval()

    def caption(self, triplet: Triplet) -> str:
        """One line. UserError when the model answers nothing."""
        query = QUERY.format(prompt=triplet.prompt)
        content = [{"type": "image", "image": triplet.target}, {"type": "text", "text": query}]
        asked = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self.device, self.model.dtype)
        with torch.no_grad():
            answer = self.model.generate(**asked, do_sample=False, max_new_tokens=LONGEST)
        new = answer[:, asked["input_ids"].shape[1] :]
        (text,) = self.processor.batch_decode(new, skip_special_tokens=True)
        caption = " ".join(text.split())
        if not caption:
            raise UserError(
                f"The model in {self.folder} says nothing about '{triplet.prompt}'; use another."
            )
        return caption


def write_captions(
    captioner: Captioner,
    corpus: Corpus,
    indices: Sequence[int],
    out: Path,
    progress: Progress = silent,
) -> int:
    """Append those that ``out`` has not yet, a line each; returns how many were missing.

    A last line that a kill has torn is cut off and written anew. UserError for other damage and
    for indices that the corpus has not.
    """
    if outside := [index for index in indices if not 0 <= index < len(corpus)]:
        raise UserError(f"The corpus has {len(corpus)} triplets and none at {outside[0]}.")
    there = _written(out)
    missing = [index for index in dict.fromkeys(indices) if index not in there]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        for number, index in enumerate(missing, start=1):
            entry = {"index": index, "caption": captioner.caption(corpus[index])}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            progress("captions", number, len(missing))
    return len(missing)


def _written(out: Path) -> dict[int, str]:
    if not out.is_file():
        return {}
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomically(out, whole)
    return read_captions(out)


def read_captions(file: Path) -> dict[int, str]:
    """Index to caption. UserError, naming the line, for a file that cannot be read."""
    captions: dict[int, str] = {}
    try:
        lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the captions {file} ({error}); check the path.") from error
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            captions[int(entry["index"])] = str(entry["caption"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{file}, line {number}, is no caption; write {{"index": 0, "caption": "..."}}.'
            ) from error
    return captions
