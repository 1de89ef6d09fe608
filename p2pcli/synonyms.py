"""Words that people bring from neighbouring tools, papers and plain speech → what p2p calls the same thing.

One table for makers, recipes, verbs and options: `errors.did_you_mean` looks a word up here before it
compares spellings, and takes the first meaning that the place at hand knows.
"""

from __future__ import annotations

_GROUPS: tuple[tuple[tuple[str, ...], str], ...] = (
    # Makers, and recipes for the same job.
    (("edges",), "sketch sketches draw drawing drawings line lines lineart line-art outline outlines contour "
     "contours scribble scribbles canny sobel dog xdog hed ink edge-detection"),
    (("edges2photo", "edges"), "edges2shoes edges2handbags shoes handbags sketch2photo photo2sketch"),
    (("gray", "colorize-lab"), "colorize colorise colourize colourise colorization colorisation "
     "colourization colourisation color colour colors colours grayscale greyscale grey bw "
     "black-and-white desaturate lab"),
    (("downsample", "super-resolution"), "super-resolution superresolution super-res superres sr upscale "
     "upscaling upsample enlarge lowres low-res hr-lr lr sharpen downscale shrink resize bicubic pixelate"),
    (("srgan",), "esrgan real-esrgan realesrgan"),
    (("mask", "inpainting"), "inpaint inpainting hole holes fill masks context-encoder erase remove"),
    (("restore", "film-restoration"), "restoration denoise noise jpeg clean degrade old old-film film "
     "scratches scratch blur deblur artifacts"),
    (("spade", "p2p train FOLDER/ -r spade"), "gaugan segment segments segmentation semantic seg labels "
     "label label-maps ade20k coco-stuff cityscapes"),
    (("pix2pixhd-512",), "pix2pixhd pix2pix-hd hd high-resolution"),
    (("cyclegan",), "horse2zebra zebra summer2winter monet2photo photo2monet style style-transfer unpaired "
     "unaligned cycle apple2orange"),
    (("day2night",), "night2day"),
    (("maps",), "map satellite aerial sat2map map2sat"),
    (("pose",), "dance everybody-dance-now openpose skeleton"),
    (("quick",), "small fast cpu tiny test light"),
    (("pix2pix",), "default unet paired isola"),
    # Verbs.
    (("make-pairs",), "pairs pair dataset datasets prepare generate make create-dataset"),
    (("train",), "fit learn finetune fine-tune"),
    (("translate",), "convert run apply predict infer inference test video generate process"),
    (("quickstart",), "demo start init try example hello"),
    (("recipes",), "presets configs config settings templates"),
    (("import",), "load"),
    # Options. A meaning may be longer than a name: its first word is what must be known.
    (("--look",), "--style --styles --clusters"),
    (("--look sample", "--set train.sample_images=6"), "--samples --num-samples --n-samples"),
    (("--set losses.l1=100",), "--lambda --lambda-l1 --l1"),
    (("--set train.epochs=20",), "--epochs --epoch --n-epochs --niter --num-epochs"),
    (("--set train.steps=2000",), "--iterations --iters --max-steps"),
    (("--set data.size=256",), "--size --resolution --image-size --img-size --crop-size --width "
     "--height --imgsz"),
    (("--set data.load_size=286",), "--load-size"),
    (("--batch-size", "--set train.batch_size=4"), "--batch --batchsize --bs"),
    (("--set train.learning_rate=2e-4",), "--lr --learning-rate"),
    (("--device cuda",), "--gpu --gpus --gpu-ids --cuda"),
    (("--device cpu",), "--cpu --no-gpu --no-cuda"),
    (("--output",), "--out --out-dir --output-dir --outdir --dest --results-dir --name --to"),
    (("--model", "--init"), "--checkpoint --ckpt --checkpoints-dir"),
    (("--init",), "--model --pretrained --finetune --fine-tune --load"),
    (("--recipe",), "--config --preset --cfg"),
    (("--resume",), "--continue --continue-train"),
    (("--overwrite",), "--force --replace"),
    (("--workers",), "--threads --jobs --num-workers --n-jobs --num-threads"),
    (("--encoding",), "--format --ext --extension"),
    (("--precision float16", "--set train.precision=float16"), "--fp16 --half --amp"),
    (("--set data.direction=BtoA",), "--direction"),
    (("--max-pixels",), "--max-size"),
    (("--set generator.name=",), "--netg --generator --arch"),
    (("--set discriminator.name=",), "--netd --discriminator"),
)  # fmt: skip


def _table() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for meanings, words in _GROUPS:
        for word in words.split():
            table[word] = table.get(word, ()) + meanings
    return table


MEANINGS = _table()
"""A word in small letters → what it may mean, the likeliest first."""


def meaning_of(word: str, known: frozenset[str]) -> str | None:
    """What `word` means among the `known` names; None where the table has nothing for this place.

    A meaning that is a whole command ("p2p train …") serves where a name was asked for.

    >>> meaning_of("Sketch", frozenset({"edges", "gray"}))
    'edges'
    >>> meaning_of("sketch", frozenset({"png", "jpg"})) is None
    True
    """
    for meaning in MEANINGS.get(word.lower().replace("_", "-"), ()):
        first = meaning.split(" ")[0]
        if first in known or first == "p2p":
            return meaning
    return None
