from pathlib import Path
from typing import Any

import pytest

from etm_app.data.text.docstring_parser import package_root, parse, source_files
from etm_app.data.text.docstrings import DocstringsDataModule

SOURCE = '''"""The module."""
if True:
    def function():
        """Indented
            twice."""
        class Inner:
            """Inside."""
else:
    async def other():
        """Async."""
class Class:
    """The class."""
    def method(self):
        """The method."""
    def undocumented(self): ...
try:
    pass
finally:
    class Last:
        """At last."""
'''


def module(cache_dir: Path, **kwargs: Any) -> DocstringsDataModule:
    arguments = {"packages": ["email"], "min_df": 1, "max_df": 1.0, "min_words": 5, "cache_dir": cache_dir, **kwargs}
    return DocstringsDataModule(**arguments)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docstrings")


@pytest.fixture(scope="module")
def email(cache_dir: Path) -> DocstringsDataModule:
    built = module(cache_dir)
    assert built.vocab_size
    return built


def test_every_docstring_is_a_labelled_document(email: DocstringsDataModule) -> None:
    documents = email.corpus.documents
    assert len(documents) > 100
    assert documents["id"].is_unique().all()
    assert {"email.message.Message", "email.message.Message.as_string"} <= set(documents["id"])
    by_id = dict(documents.select("id", "label").iter_rows())
    assert by_id["email.message.Message.as_string"] == "email.message"
    assert all(id == label or id.startswith(label) for id, label in by_id.items())
    assert {"message", "header"} <= set(email.vocab)
    assert email.vocab == sorted(email.vocab)


def test_documents_are_split_by_the_shares(email: DocstringsDataModule) -> None:
    size = len(email.corpus)
    assert len(email.corpus.rows("val")) == len(email.corpus.rows("test")) == round(size / 10)
    assert len(email.corpus.rows("train")) == size - 2 * round(size / 10)


def test_the_corpus_is_kept(email: DocstringsDataModule, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DocstringsDataModule, "build", lambda self: pytest.fail("built again"))
    assert module(cache_dir).vocab == email.vocab


def test_settings_matter(email: DocstringsDataModule, tmp_path: Path) -> None:
    other = module(tmp_path, min_words=30, min_df=3, max_df=0.3, stop_words="none", val_fraction=0.0, seed=1)
    assert len(other.corpus) < len(email.corpus)
    assert len(other.corpus.rows("val")) == 0
    assert len(other.vocab) < len(email.vocab)


def test_the_length_of_words_matters(
    email: DocstringsDataModule, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etm_app.data.text.docstrings.MIN_LENGTH", 7)
    assert "header" in email.vocab
    longer = module(cache_dir)
    assert longer.cache_key() != email.cache_key()
    assert min(map(len, longer.vocab)) == 7


def test_docstrings_are_found_wherever_they_are_defined(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    found = parse(("package", "package.sub.module", path))
    assert {docstring.id.removeprefix("package.sub.module").lstrip("."): docstring.text for docstring in found} == {
        "": "The module.",
        "function": "Indented\ntwice.",
        "function.Inner": "Inside.",
        "other": "Async.",
        "Class": "The class.",
        "Class.method": "The method.",
        "Last": "At last.",
    }
    assert {docstring.label for docstring in found} == {"package.sub"}


@pytest.mark.parametrize("content", [b"def broken(:", b"x = '\xff'", b"\0", b""])
def test_what_this_python_cannot_parse_is_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "module.py"
    path.write_bytes(content)
    assert parse(("package", "package.module", path)) == []


def test_sources_are_those_of_the_package_without_its_tests(tmp_path: Path) -> None:
    for name in ("__init__.py", "a.py", "sub/__init__.py", "sub/b.py", "tests/test_a.py", "sub/test/c.py", "data.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    names = [name for _, name, _ in source_files("package", tmp_path)]
    assert sorted(names) == ["package", "package.a", "package.sub", "package.sub.b"]


def test_packages_are_found() -> None:
    json = package_root("json")
    assert json is not None
    assert (json / "decoder.py").exists()
    standard_library = package_root("stdlib")
    assert standard_library is not None
    assert json.parent == standard_library
    assert package_root("no_such_package") is None
