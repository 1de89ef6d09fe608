"""Prints the README's set-up command that contains a word, so that what is checked is what is promised."""

import re
import sys
from pathlib import Path

blocks = re.findall(r"```bash\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
found = [block.strip() for block in blocks if "pip install" in block and sys.argv[1] in block]
if len(found) != 1:
    sys.exit(f"README.md: expected one set-up block with '{sys.argv[1]}', found {len(found)}.")
sys.stdout.write(found[0])
