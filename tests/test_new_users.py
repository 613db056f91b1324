"""What strangers bring first: what is said, and what comes out."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from etm_app.cli.main import ETMCLI, main
from etm_app.model import ETM
from tests.conftest import SMALL

Said = pytest.CaptureFixture[str]

NOUNS = [f"{stem}{ending}" for stem in ("Wagen", "Käse", "Straße") for ending in ("tür", "preis", "größe", "netz")]


def german(size: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [
        "Das ist nicht, was wir von "
        + " und ".join(rng.choice(NOUNS[4 * (n % 3) : 4 * (n % 3) + 4], 6))
        + " wollten; nie"
        for n in range(size)
    ]


def run(tmp_path: Path, subcommand: str, *args: object) -> ETMCLI:
    where = [f"--trainer.default_root_dir={tmp_path / 'runs'}", f"--data.cache_dir={tmp_path / 'cache'}"]
    return main([subcommand, "--data=TextDataModule", *where, *SMALL, *map(str, args)])


def best_of(cli: ETMCLI) -> Path:
    return Path(cli.trainer.log_dir) / "checkpoints" / "best.ckpt"


def test_a_csv_of_a_european_excel(tmp_path: Path, capsys: Said) -> None:
    texts = german(80)
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows([["Nr", "Text", "Preis"], *([n, t, "9,50"] for n, t in enumerate(texts))])
    (tmp_path / "de.csv").write_bytes(out.getvalue().encode("cp1252"))
    data = [f"--data.files={tmp_path / 'de.csv'}", "--data.text_column=Text", "--data.id_column=Nr"]
    cli = run(tmp_path, "fit", *data, "--data.encoding=cp1252")
    told = capsys.readouterr().out
    assert "warning: the documents are in German, and English stop words are dropped: --data.stop_words de." in told
    assert "größe" not in cli.datamodule.vocab
    assert "straßegröße" in cli.datamodule.vocab
    run(tmp_path, "predict", *data, "--data.encoding=cp1252", f"--ckpt_path={best_of(cli)}",
        f"--prediction.path={tmp_path / 'theta.csv'}")  # fmt: skip
    assert pl.read_csv(tmp_path / "theta.csv")["id"].to_list() == list(range(80))


def test_a_folder_of_pages(tmp_path: Path, capsys: Said) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for number, text in enumerate(german(60)):
        head = "<head><title>Seite</title><script>var container = 'div';</script></head>"
        (pages / f"{number:02}.html").write_text(
            f"<!DOCTYPE html><html>{head}<body><div class='container'>{text.replace('ß', '&szlig;')}</div></html>"
        )
    data = [f"--data.files={pages}", "--data.max_df=1.0", "--data.stop_words=de"]
    cli = run(tmp_path, "fit", *data)
    assert "warning: 100% of the documents have HTML in them" in capsys.readouterr().out
    assert {"div", "szlig", "container"} <= set(cli.datamodule.vocab)
    cli = run(tmp_path, "fit", *data, "--data.strip=[html]")
    assert "HTML" not in capsys.readouterr().out
    assert not {"div", "szlig", "container"} & set(cli.datamodule.vocab)
    assert "straßetür" in cli.datamodule.vocab
    assert cli.datamodule.corpus.excerpts(np.arange(1))[0].startswith("Seite Das ist nicht")

    # What was taken out in training is taken out of new texts, whatever the command says of them.
    best = best_of(cli)
    page = (pages / "07.html").read_text()
    path = tmp_path / "theta.parquet"
    run(tmp_path, "predict", f"--data.files={pages}", f"--ckpt_path={best}", f"--prediction.path={path}")
    theta = pl.read_parquet(path)
    model = ETM.load_from_checkpoint(best)
    assert model.analyzer is not None
    assert model.analyzer["strip"] == ["html"]
    np.testing.assert_allclose(model.transform([page])[0], theta.select("^theta_.*$").to_numpy()[7], atol=1e-6)
    assert theta["oov_rate"].max() == 0


def cut(text: str) -> list[str]:
    return list(text)


def test_japanese_titles(tmp_path: Path, capsys: Said) -> None:
    titles = [
        f"{a}の{b}と{c}" for a in ("猫", "犬", "鳥", "町") for b in ("話", "本", "歌", "絵") for c in ("春", "夏", "秋")
    ]
    (tmp_path / "ja.txt").write_text("\n".join(titles * 2), encoding="utf-8-sig")
    data = [f"--data.files={tmp_path / 'ja.txt'}", "--data.min_df=1"]
    run(tmp_path, "fit", *data)
    assert "in a script without blanks" in (told := capsys.readouterr().out)
    assert "fugashi" in told
    cli = run(tmp_path, "fit", *data, "--data.tokenizer=tests.test_new_users.cut", "--data.min_length=1")
    assert "without blanks" not in capsys.readouterr().out
    assert {"猫", "話", "春"} <= set(cli.datamodule.vocab)


def test_thirty_documents(tmp_path: Path, capsys: Said) -> None:
    rng = np.random.default_rng(1)
    words = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    lines = ["topic " + " ".join(rng.choice(words, 6, replace=False)) for _ in range(30)]
    (tmp_path / "few.txt").write_text("\n".join(lines))
    files = f"--data.files={tmp_path / 'few.txt'}"
    run(tmp_path, "fit", files, "--data.min_df=1", "--model.num_topics=90")
    assert "warning: 90 topics over " in (told := capsys.readouterr().out)
    assert told.count("warning: ") == 1
    run(tmp_path, "check", files, "--data.min_df=1", "--model.num_topics=90")
    assert "warning: 90 topics over " in capsys.readouterr().out


def test_predicting_what_a_pipe_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = german(60)

    def pipe(lines: list[str]) -> None:
        content = "\n".join(lines).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))  # type: ignore[arg-type]

    pipe(texts)
    cli = run(tmp_path, "fit", "--data.files=-")
    assert len(cli.datamodule.corpus) == 60
    pipe(["", *texts[:9]])
    path = tmp_path / "theta.csv"
    run(tmp_path, "predict", "--data.files=-", f"--ckpt_path={best_of(cli)}", f"--prediction.path={path}")
    theta = pl.read_csv(path)
    assert theta["row"].to_list() == list(range(10))
    assert theta["status"].to_list() == ["empty", *["ok"] * 9]


def test_skipped_rows_keep_their_numbers(tmp_path: Path) -> None:
    lines = [f"{text},{number}" for number, text in enumerate(text.replace(",", "") for text in german(60))]
    lines[3] += ",too,many"
    (tmp_path / "a.csv").write_text("\n".join(["text,n", *lines]))
    data = [f"--data.files={tmp_path / 'a.csv'}", "--data.on_bad_rows=skip"]
    cli = run(tmp_path, "fit", *data)
    kept = [number for number in range(60) if number != 3]
    assert cli.datamodule.corpus.documents["id"].to_list() == [str(number) for number in kept]
    path = tmp_path / "theta.parquet"
    run(tmp_path, "predict", *data, f"--ckpt_path={best_of(cli)}", f"--prediction.path={path}")
    assert pl.read_parquet(path)["row"].to_list() == kept
    rows = pl.concat([batch.documents["row"] for batch in cli.datamodule.predict_dataloader()])
    assert rows.to_list() == kept
