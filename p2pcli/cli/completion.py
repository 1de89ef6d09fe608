"""What the shell completes: names found without importing anything heavy."""

from __future__ import annotations

from pathlib import Path


def recipes(incomplete: str) -> list[str]:
    """Names of shipped recipes, and TOML files here, that begin so."""
    package = Path(__file__).parent.parent
    inside = package / "recipes"
    folder = inside if inside.is_dir() else package.parent / "recipes"
    names = sorted(path.stem for path in folder.glob("*.toml"))
    files = sorted(path.as_posix() for path in Path().glob("*.toml"))
    return [name for name in [*names, *files] if name.startswith(incomplete)]


def runs(incomplete: str) -> list[str]:
    """Run folders under runs/, and model files here, that begin so; the newest first."""
    folders = [path for path in Path("runs").glob("*") if path.is_dir()]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    names = [path.as_posix() for path in [*folders, *sorted(Path().glob("*.safetensors"))]]
    return [name for name in names if name.startswith(incomplete)]


def datasets(incomplete: str) -> list[str]:
    """Datasets under pairs/ that begin so; the newest first."""
    folders = [path for path in Path("pairs").glob("*") if path.is_dir()]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.as_posix() for path in folders if path.as_posix().startswith(incomplete)]
