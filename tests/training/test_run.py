"""A run's folder: what is written into it."""

from seg.training.run import write_csv


def test_a_table_holds_file_names_of_any_bytes(tmp_path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    write_csv(tmp_path / "a.csv", [{"image": name, "ignored": 0.5}])
    assert (tmp_path / "a.csv").read_bytes() == b"image,ignored\ncaf\xe9.png,0.5\n"
