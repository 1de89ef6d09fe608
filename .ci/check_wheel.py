"""Fails unless the wheel holds recipes, the quickstart's material, licence and py.typed, and is small."""

import sys
import zipfile
from pathlib import Path

names = set(zipfile.ZipFile(sys.argv[1]).namelist())
wanted = {f"p2pcli/recipes/{path.name}" for path in Path("recipes").glob("*.toml")}
wanted |= {path.as_posix() for path in Path("p2pcli/quickstart_data").rglob("*") if path.is_file()}
wanted |= {path.as_posix() for path in Path("p2pcli").rglob("*.py")} | {"p2pcli/py.typed"}
missing = sorted(wanted - names)
if missing or not any(name.endswith("licenses/LICENSE") for name in names):
    sys.exit(f"{sys.argv[1]}: missing {missing or 'LICENSE'}.")
stray = sorted(name for name in names if name.startswith("tests/"))
size = Path(sys.argv[1]).stat().st_size
if stray or size > 3_000_000:
    sys.exit(f"{sys.argv[1]}: {size} bytes, stray files {stray[:5]}.")
sys.stdout.write(f"{Path(sys.argv[1]).name}: {len(names)} files, {size / 1e6:.1f} MB\n")
