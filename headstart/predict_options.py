"""The options of `headstart predict`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.errors import HeadstartError
from headstart.network_options import JsonOption
from headstart.scan import printable

if TYPE_CHECKING:
    from headstart.batch.sorting import Sorting
    from headstart.classifier import Classifier

PRINTED = "-"  # instead of a file


@dataclass(frozen=True)
class PredictOptions:
    """One field for each option."""

    images: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders.", show_default=False)
    ] = None
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each image.")] = 1
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add the probability of every class to a table.")
    ] = False
    json: JsonOption = False
    csv: Annotated[
        str | None,
        typer.Option(help="Write a table to FILE.csv; - prints it.", metavar="FILE"),
    ] = None
    parquet: Annotated[
        Path | None, typer.Option(help="Write a table to FILE.parquet.", metavar="FILE")
    ] = None
    level: Annotated[
        float | None,
        typer.Option(help="How often the candidates hold the true class.", show_default="0.9"),
    ] = None
    sort_into: Annotated[
        Path | None,
        typer.Option(help="Link the images into a folder for each class.", metavar="FOLDER"),
    ] = None
    copy: Annotated[bool, typer.Option("--copy", help="Copy them instead.")] = False
    sure: Annotated[
        float | None,
        typer.Option(
            help="Probability below which an image is sorted as unsure.",
            show_default="the bundle's own",
        ),
    ] = None
    watch: Annotated[
        Path | None,
        typer.Option(help="Classify the images that arrive in a folder.", metavar="FOLDER"),
    ] = None

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            HeadstartError: There are such.
        """
        forms = [("--json", self.json), ("--csv", self.csv), ("--parquet", self.parquet)]
        given = [name for name, value in forms if value]
        if len(given) > 1:
            raise HeadstartError(
                f"Both {given[0]} and {given[1]} were given. Expected one of them. Leave one out."
            )
        self._check_endings()
        if self.sort_into is None and (self.copy or self.sure is not None):
            raise HeadstartError(
                "--copy and --sure say how to sort. Expected --sort-into FOLDER with them. Add it, "
                "or leave them out."
            )
        if self.watch is not None and (self.images or self.parquet):
            what = "images" if self.images else "--parquet"
            raise HeadstartError(
                f"--watch FOLDER and {what} were given. Expected the folder alone, with --json or "
                f"--csv if wanted. Leave one out."
            )
        if self.watch is None and not self.images:
            raise HeadstartError(
                "There is nothing to classify. Expected files or folders of images, or --watch "
                "FOLDER. Name some."
            )
        if self.probabilities and self.csv is None and self.parquet is None:
            raise HeadstartError(
                "--probabilities adds to a table. Expected --csv or --parquet with it. Use --top N "
                "to see more classes."
            )

    def _check_endings(self) -> None:
        """The name of the file says as what a table is written: it must say the same."""
        csv = None if self.csv in (None, PRINTED) else Path(str(self.csv))
        for file, name, ending, other in (
            (csv, "--csv", ".csv", "--parquet"),
            (self.parquet, "--parquet", ".parquet", "--csv"),
        ):
            if file is not None and file.suffix.lower() == f".{other[2:]}":
                shown = printable(str(file))
                raise HeadstartError(
                    f"{name} {shown} does not fit. Expected a name that ends in {ending}; received "
                    f"'{file.suffix}'. Use {other} {shown}, or another name."
                )

    @property
    def table(self) -> Path | None:
        """The file of the table, if one is to be written."""
        if self.csv is None or self.csv == PRINTED:
            return self.parquet
        return Path(self.csv)

    def sorting(self, classifier: Classifier) -> Sorting | None:
        """How to sort, if at all."""
        from headstart.batch import sureness
        from headstart.batch.sorting import Sorting

        if self.sort_into is None:
            return None
        return Sorting(self.sort_into, self.copy, sureness(classifier, self.sure))
