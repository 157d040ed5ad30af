"""The command `relic`: list presets, train them, and code pictures with them."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import papers
from common import limits
from common.command_line import Parser, at_least, bits, minutes, seed
from common.config import SCALES, Setting, check_scale
from common.errors import RelicError, run_main
from common.training.options import add_options, given_options

NAME_WIDTH = 24  # of a picture, in the table of `evaluate`
LEFT_OUT_SHOWN = 5
CODING_COMMANDS = ("compress", "evaluate")
CODING_HELP = "The coding settings of the model's paper are options too: with -m PRESET, this help ends with them."


def _parser(coding: Mapping[str, Setting]) -> argparse.ArgumentParser:
    """Return the command line; `coding` are the settings of the model that it names."""
    parser = Parser(prog="relic", description="Train learned image codecs and compress pictures with them.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command", parser_class=Parser)

    command = commands.add_parser("list", help="show every preset and the weights that are here")
    command.add_argument("--settings", metavar="PRESET", help="show one preset's settings and where each comes from")
    command.set_defaults(run=_list)

    command = commands.add_parser("train", help="train one preset")
    command.add_argument("preset", help="paper/preset, e.g. cheng_resnet/resnet4_subpixel")
    command.add_argument("--scale", default="small", help=f"{', '.join(SCALES)} (default: small)")
    command.add_argument("--seed", type=seed, default=0, help="of weights, patches and noise (default: 0)")
    command.add_argument("--minutes", type=minutes, help="stop after so many minutes; --resume goes on")
    start = command.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    start.add_argument("--restart", action="store_true", help="start anew although there is a checkpoint")
    add_options(command)
    command.set_defaults(run=_train)

    command = commands.add_parser("compress", help="picture -> .rlic file", epilog=f"{limits.HELP} {CODING_HELP}")
    command.add_argument("picture", type=Path)
    command.add_argument("-m", "--model", required=True, help="paper/preset")
    _output_options(command, "the picture's name with .rlic, if there is none")
    _folder_options(command)
    _weights_options(command)
    _target_options(command)
    _coding_options(command, coding)
    command.set_defaults(run=_compress)

    command = commands.add_parser("decompress", help=".rlic file -> PNG", epilog=limits.HELP)
    command.add_argument("file", type=Path)
    _output_options(command, "the file's name with .png, if there is none")
    command.set_defaults(run=_decompress)

    shows = "code every picture of a set or folder; print rate, PSNR, MS-SSIM"
    command = commands.add_parser("evaluate", help=shows, epilog=f"{limits.HELP} {CODING_HELP}")
    command.add_argument("data", help="a data set's name (kodak, sample …), else a folder of pictures (./kodak)")
    command.add_argument("-m", "--model", required=True, help="paper/preset")
    command.add_argument("--images", type=int, help="only the first so many pictures")
    _weights_options(command)
    _coding_options(command, coding)
    command.set_defaults(run=_evaluate)
    return parser


def _folder_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("a folder in place of a picture")
    shows = "code all its pictures to at most B bits per pixel together, the sum of MS-SSIM as great as possible"
    group.add_argument("--target-bpp", type=bits, metavar="B", help=shows)
    shows = "another network that each picture may be coded with (may repeat)"
    group.add_argument("--also", action="append", default=[], metavar="PRESET", help=shows)


def _output_options(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument("-o", "--output", help=f"a file, a folder that ends in /, or - for stdout; default: {default}")
    command.add_argument("-f", "--force", action="store_true", help="replace a file of the default name")


def _weights_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--scale", help="of the weights (default: the best that is here)")
    command.add_argument("--seed", type=seed, help="of the weights (default: the lowest that is here)")


def _target_options(command: argparse.ArgumentParser) -> None:
    shows = "instead of a setting: the codec's own that its rate depends on is searched, in at most 8 codings"
    group = command.add_argument_group("targets", shows).add_mutually_exclusive_group()
    group.add_argument("--bpp", type=float, metavar="B", help="bits per pixel of the whole file: the nearest there is")
    group.add_argument("--bytes", type=at_least(1), metavar="N", help="the largest file of at most so many bytes")
    group.add_argument("--psnr", type=float, metavar="DB", help="the smallest file of at least so many dB")
    group.add_argument("--ms-ssim", type=float, metavar="Q", help="the smallest file of at least so much, below 1")


def _coding_options(command: argparse.ArgumentParser, coding: Mapping[str, Setting]) -> None:
    if not coding:
        return
    group = command.add_argument_group("coding settings")
    for name, setting in coding.items():
        shows = f"{setting.help}: {_allowed(setting)} (default: {setting.default_text})".replace("%", "%%")
        number = int if setting.parts == 1 else float
        group.add_argument(_option(name), dest=name, type=number, metavar="N", help=shows)


def _allowed(setting: Setting) -> str:
    parts = "" if setting.parts == 1 else f", multiples of 1/{setting.parts}"
    return f"{setting.smallest} to {setting.largest}{parts}"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _named_model(line: Sequence[str]) -> str | None:
    """Return the model that a command line names for coding, which decides what other options there are."""
    parser = Parser(add_help=False)
    parser.add_argument("-m", "--model", nargs="?")
    return parser.parse_known_args(line[1:])[0].model if line[:1] and line[0] in CODING_COMMANDS else None


def _list(arguments: argparse.Namespace) -> None:
    from common import config
    from common.training import shipped

    if arguments.settings:
        paper, preset = papers.split_id(arguments.settings)
        for field in config.describe(config.find_preset(papers.config_of(paper), preset)):
            print(f"{field['name']:22} {field['value']!s:40} {field['status']}: {field['source']}")
        for name, setting in papers.coding_settings(arguments.settings).items():
            print(f"{_option(name):22} {setting.default_text:40} coding: {_allowed(setting)}, {setting.help}")
        return
    for model in papers.all_presets():
        paper, preset = model.split("/")
        here = ", ".join(f"{scale} seed {seed}" for scale, seed, _ in shipped.shipped(paper, preset))
        print(f"{model:48} {here or '-'}")


def _train(arguments: argparse.Namespace) -> None:
    from common.training.runs import Run

    paper, preset = papers.split_id(arguments.preset)
    check_scale(arguments.scale)
    train_preset = import_module(f"papers.{paper}.train").train_preset
    clock = {name: getattr(arguments, name) for name in ("minutes", "resume", "restart")}
    try:
        is_finished = train_preset(preset, arguments.scale, arguments.seed, **clock, **given_options(arguments))
    except KeyboardInterrupt as stop:  # which says where only when a checkpoint is there
        raise KeyboardInterrupt(f"{stop}: go on with --resume" if str(stop) else "") from None
    if is_finished:
        folder = Run(paper, preset, arguments.scale, arguments.seed).shipped
        print(f"trained {arguments.preset} at scale {arguments.scale}, seed {arguments.seed}: {folder}")
    else:
        print("out of time: go on with --resume")


def _coding(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the coding settings that were given."""
    given = {name: getattr(arguments, name) for name in papers.coding_settings(arguments.model)}
    return {name: value for name, value in given.items() if value is not None}


def _codec(arguments: argparse.Namespace) -> Any:
    return papers.load(arguments.model, arguments.scale, arguments.seed, **_coding(arguments))


def _compress(arguments: argparse.Namespace) -> None:
    from common import targets
    from common.coding import container
    from common.data.pictures import decode_image, read_file
    from common.data.profiles import profile_to_keep
    from common.metrics import bits_per_pixel

    target = _target(arguments)
    if arguments.target_bpp is not None or arguments.also:
        if target:
            raise RelicError("--target-bpp is of a folder's pictures together: leave the target of one picture out")
        _compress_folder(arguments)
        return
    output = _output(arguments, arguments.picture, ".rlic")
    source = read_file(arguments.picture)
    image = decode_image(source, str(arguments.picture))
    profile, codec = profile_to_keep(source, image), _codec(arguments)

    def finished(data: bytes) -> bytes:
        return container.with_profile(data, profile) if profile else data

    if target is None:
        data, reached = finished(codec.compress(image)), ""
    else:
        searched = papers.rate_setting(arguments.model)
        found = targets.find(codec, image, target, searched, _coding(arguments), finished)
        data, reached = found.file.data, f"; {found.about}"
    of_profile = len(data) - len(container.pack(*container.unpack(data))) if profile else 0
    kept = f", with its colour profile: {of_profile} bytes" if profile else ""
    _write(output, data, f"{len(data)} bytes, {bits_per_pixel(len(data), *image.shape[:2]):.4f} bpp{kept}{reached}")


def _target(arguments: argparse.Namespace) -> Any:
    """Return the size or quality that a command line asks for, None where it asks for none."""
    from common.targets import KINDS, Target

    for kind in KINDS:
        wanted = getattr(arguments, kind)
        if wanted is None:
            continue
        name = papers.rate_setting(arguments.model)[0]
        if getattr(arguments, name) is not None:
            raise RelicError(f"{_option(kind)} looks for {name} itself: leave {_option(name)} out")
        return Target(kind, wanted)
    return None


def _compress_folder(arguments: argparse.Namespace) -> None:
    from papers import folder

    if arguments.target_bpp is None:
        raise RelicError("--also needs --target-bpp")
    given = [_option(name) for name in papers.coding_settings(arguments.model) if getattr(arguments, name) is not None]
    if given:
        raise RelicError(f"--target-bpp chooses the step of each picture: leave {given[0]} out")
    if arguments.output == "-" or (arguments.output and Path(arguments.output).is_file()):
        raise RelicError(f"--target-bpp writes a file for each picture: -o {arguments.output} is no folder")
    arguments.output = arguments.output and os.path.join(arguments.output, "")
    pictures = folder.pictures_in(arguments.picture)
    outputs = [_output(arguments, picture, ".rlic") or picture for picture in pictures]
    codecs = folder.codecs_of([arguments.model, *arguments.also], arguments.scale, arguments.seed)
    folder.compress(pictures, outputs, codecs, arguments.target_bpp)


def _decompress(arguments: argparse.Namespace) -> None:
    from common.coding import container
    from common.data.pictures import png, read_file
    from common.data.profiles import fits

    data = read_file(arguments.file)
    codec = papers.load_for(data)
    output = _output(arguments, arguments.file, ".png")
    if output and output.suffix.lower() not in ("", ".png"):
        raise RelicError(f"the picture is written as PNG: name it {output.with_suffix('.png')}")
    image, profile = codec.decompress(data), container.profile_of(data)
    picture = png(image, profile=profile if profile and fits(profile, image) else None)
    _write(output, picture, f"{image.shape[1]} x {image.shape[0]} pixels{_what_is_missing(data)}")


def _what_is_missing(data: bytes) -> str:
    """Say how much of a file that was cut, and still decodes, is left."""
    from common.coding import container

    complete, total = container.section_counts(data)
    return "" if complete == total else f", from {complete} of {total} sections: the file was cut"


def _output(arguments: argparse.Namespace, source: Path, suffix: str) -> Path | None:
    """Return where what is made of a source goes, None for stdout; RelicError where it would replace what is there.

    A file that `-o` names may be replaced, but for the source itself; one of the default name only with `--force`.
    """
    wanted = arguments.output
    if wanted == "-":
        return None
    is_folder = wanted is not None and (wanted.endswith(os.sep) or Path(wanted).is_dir())
    is_named = wanted is not None and not is_folder
    folder = Path(wanted) if is_folder else source.parent
    output = Path(wanted) if is_named else folder / source.with_suffix(suffix).name
    if output.exists() and source.exists() and output.samefile(source):
        raise RelicError(f"{output} is the file that is read: name another one with -o")
    if output.is_file() and not is_named and not arguments.force:
        raise RelicError(f"{output} exists: name another file with -o, or overwrite it with --force")
    return output


def _write(output: Path | None, data: bytes, about: str) -> None:
    """Write a file, or to stdout, and print what it holds: to stderr where stdout has the file."""
    from common.files import atomic_file

    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        print(about, file=sys.stderr)
        return
    with atomic_file(output) as file:
        file.write(data)
    print(f"{output}: {about}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from common import data, evaluate

    folder = Path(arguments.data)
    directory = folder if folder.is_dir() and not data.is_here(arguments.data) else None
    pictures = data.images(arguments.data, arguments.images, directory)
    codec = _codec(arguments)
    count = f"{len(pictures)} picture{'s' if len(pictures) > 1 else ''}"
    print(f"{_taken(arguments.data, directory)}: {count}", file=sys.stderr)
    width = max(NAME_WIDTH, *(len(name) for name, _ in pictures))
    print(f"{'picture':{width}} {'bpp':>8} {'payload':>8} {'estimate':>8} {'PSNR':>8} {'MS-SSIM':>8}")
    estimate = getattr(codec, "rate_estimate", lambda image: None)  # a codec around JPEG has no likelihoods
    rows = []
    for name, image in pictures:
        measured = evaluate.measure(codec, image, name)
        rows.append([measured.bpp, measured.payload_bpp, estimate(image), measured.psnr, measured.ms_ssim])
        print(f"{name:{width}} " + " ".join(map(_shown, rows[-1])))
    print(f"{'mean':{width}} " + " ".join(map(_shown_mean, zip(*rows, strict=True))))


def _taken(name: str, directory: Path | None) -> str:
    """Say which pictures a name stands for, and what in a folder is none."""
    from common import data

    if directory is None:
        there = f" (the folder of that name is .{os.sep}{name})" if Path(name).is_dir() else ""
        return f"the data set {name}{there}"
    others = data.left_out(directory)
    shown = ", ".join(others[:LEFT_OUT_SHOWN]) + (" …" if len(others) > LEFT_OUT_SHOWN else "")
    return f"the folder {directory}" + (f" without {len(others)} other files ({shown})" if others else "")


def _shown(value: float | None) -> str:
    return "       -" if value is None else f"{value:8.4f}"


def _shown_mean(values: Sequence[float | None]) -> str:
    """Show the mean of the values that there are; where they are not all, of how many."""
    from common.tables.numbers import mean_of_known

    known = sum(value is not None for value in values)
    return _shown(mean_of_known(values)) + (f" (of {known})" if 0 < known < len(values) else "")


def _main() -> None:
    line = sys.argv[1:]
    model = _named_model(line)
    coding = papers.coding_settings(model) if model else {}
    parser = _parser(coding)
    arguments, unknown = parser.parse_known_args(line)
    if unknown:
        there = ", ".join(map(_option, coding)) or "none"
        of_model = f"; the coding settings of {model}: {there}" if model else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{of_model}")
    arguments.run(arguments)


def main() -> None:
    """Run the command line."""
    run_main(_main)


if __name__ == "__main__":
    main()
