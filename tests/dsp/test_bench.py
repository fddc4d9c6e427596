"""The benchmark runs, and says what it is asked for."""

from tests.bench import dsp_bench


def test_the_benchmark_does_not_rot() -> None:
    figures = dsp_bench.figures(tiny=True)
    assert [f["what"] for f in figures["g711"]] == [
        "G.711 alaw decode", "G.711 alaw encode", "G.711 ulaw decode", "G.711 ulaw encode",
    ]  # fmt: skip
    assert figures["dtmf"]["ours_channels_a_core"] > 0 and figures["all_on"][0]["tick_ms_p99"] > 0
    assert figures["all_on"][0]["spandsp_channels_a_core"] > 0
    parts = {row["what"]: row for row in figures["parts"]}
    assert {"sum", "bank", "dtmf", "class", "between them"} <= set(parts)
    assert parts["sum"]["4"] >= parts["bank"]["4"] > 0
