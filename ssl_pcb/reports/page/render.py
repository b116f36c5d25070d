"""Pages in one file: template, style, code and data together, and nothing fetched from anywhere.

File names, boards and labels are other people's text. Templates escape all that they are given; data lie in a script
element in which no ``<`` stands; and the page's own policy lets nothing run but the code that is named in it by hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ssl_pcb.data.files import whole_file
from ssl_pcb.errors import UserError

FOLDER = Path(__file__).parent

MOST_BYTES = 10_000_000
"""Of a page, so that it can be sent and opens on a tablet."""

PICTURE_BYTES = 6_000_000
"""Of these for pictures of samples: the rest is for scores, heat maps, sheets and code."""


def write_page(
    template: str, scripts: Sequence[str], data: Mapping[str, Any], shown: Mapping[str, Any], out: Path
) -> None:
    """Write ``out``, whole or not at all.

    Args:
        template: File beside this one.
        scripts: Files beside this one, which run in this order.
        data: What these read: JSON, the element ``#data``.
        shown: What the template sees.
        out: File to write.

    Raises:
        UserError: If it cannot be written, or would be larger than :data:`MOST_BYTES`.
    """
    text = rendered(template, scripts, data, shown)
    size = len(text.encode())
    if size > MOST_BYTES:
        raise UserError(
            f"{out}: would take {size / 1e6:.1f} MB, and a page may take {MOST_BYTES / 1e6:.0f}; show fewer pictures "
            "with --pictures"
        )
    with whole_file(out) as part:
        part.write_text(text, encoding="utf-8")


def rendered(template: str, scripts: Sequence[str], data: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """The page as text; see :func:`write_page`."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    code = "".join((FOLDER / name).read_text(encoding="utf-8") for name in scripts)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    style = (FOLDER / "page.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        shown, data=data, code=Markup(code), digest=digest, style=Markup(style)
    )
