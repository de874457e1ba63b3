"""The verbs that make runs: search, rerank, fuse."""

from pathlib import Path
from typing import Annotated, Any

import typer

from optical_ir.cli.options import (
    BatchSize,
    Device,
    Encoder,
    Lexicon,
    MaxLength,
    Output,
    Overwrite,
    Threads,
    Topics,
)
from optical_ir.errors import ConfigError


def search(
    index: Annotated[Path, typer.Option(help="What `encode` or `index` wrote.")],
    topics: Topics,
    output: Output,
    encoder: Annotated[
        str | None, typer.Option(help="Query encoder: a student or the teacher; not for BM25.")
    ] = None,
    lexicon: Annotated[
        Path | None,
        typer.Option(
            help="Translation probabilities (foreign TAB English TAB probability): with them an "
            "encoder reads each query with its gloss, and BM25 asks probabilistic structured "
            "queries."
        ),
    ] = None,
    hits: Annotated[int, typer.Option(min=1, help="Documents a query.")] = 1000,
    tag: Annotated[
        str | None, typer.Option(help="Last column; the encoder's name if not given.")
    ] = None,
    first_stage: Annotated[
        str | None,
        typer.Option(help="Of late interaction in Lucene: vector (by default) or bm25."),
    ] = None,
    first_stage_topics: Annotated[
        str | None,
        typer.Option(help="Topics that bm25 takes instead, by the same ids: translations, say."),
    ] = None,
    first_stage_hits: Annotated[
        int, typer.Option(min=1, help="Documents a query that the first stage finds.")
    ] = 1000,
    candidates: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of an index with token codes, see compress: score only so many documents a query "
            "exactly, and find no more; docs/search.md says what that finds. All by default.",
        ),
    ] = None,
    doc_ids: Annotated[
        Path | None,
        typer.Option(help="Of token vectors: find only these documents; a file, one id a line."),
    ] = None,
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    device: Device = None,
    threads: Threads = None,
    k1: Annotated[float, typer.Option(min=0, help="BM25.")] = 0.9,
    b: Annotated[float, typer.Option(min=0, max=1, help="BM25.")] = 0.4,
    overwrite: Overwrite = False,
) -> None:
    """Search an index and write a TREC run: MaxSim, BM25, or late interaction in Lucene."""
    from optical_ir.collections import (
        load_queries,
        read_gloss_lexicon,
        read_probabilistic_lexicon,
    )
    from optical_ir.files import check_output, sha256_text
    from optical_ir.provenance import write_origin
    from optical_ir.retrieval.late_interaction import is_late_interaction_index, search_late
    from optical_ir.retrieval.two_stage import search_tokens
    from optical_ir.run_facts import describe_sources
    from optical_ir.trec import write_run

    check_output(output, overwrite=overwrite)
    name = _tag(tag or (None if encoder or not lexicon else "bm25-psq"), encoder)
    late = is_late_interaction_index(index)
    _check_search(index, encoder, first_stage or first_stage_topics, late=late)
    if (candidates or doc_ids) and (late or encoder is None):
        raise ConfigError(
            f"{index}: expected a multi-vector index for --candidates or --doc-ids, found another. "
            "Leave them out, or name what encode wrote."
        )
    queries = load_queries(topics)
    others = load_queries(first_stage_topics) if first_stage_topics else None
    read = read_gloss_lexicon if encoder else read_probabilistic_lexicon
    translations = read(lexicon) if lexicon else None
    settings = {"index": index, "topics": topics, "encoder": encoder, "hits": hits, "tag": name}
    settings |= {"lexicon": lexicon}
    if encoder is None:
        run = _search_words(index, queries, translations, k=hits, k1=k1, b=b)
        settings |= {"k1": k1, "b": b}
    elif late:
        run = search_late(
            encoder,
            index,
            queries,
            first_stage=first_stage or "vector",
            first_stage_queries=others,
            depth=first_stage_hits,
            k=hits,
            k1=k1,
            b=b,
            lexicon=translations,
            batch_size=batch_size,
            max_length=max_length,
            device=device,
        )
        settings |= {"first_stage": first_stage or "vector", "first_stage_hits": first_stage_hits}
        settings |= {"k1": k1, "b": b, "max_length": max_length}
    else:
        run = search_tokens(
            encoder,
            index,
            queries,
            k=hits,
            candidates=candidates,
            doc_ids=doc_ids,
            threads=threads,
            lexicon=translations,
            batch_size=batch_size,
            max_length=max_length,
            device=device,
        )
        settings |= {"max_length": max_length, "candidates": candidates}
    write_run(output, run, tag=name, overwrite=overwrite)
    inputs = {"topics": topics, "first_stage_topics": first_stage_topics, "lexicon": lexicon}
    inputs |= {"doc_ids": doc_ids}
    given = {role: path for role, path in inputs.items() if path}
    facts = describe_sources(index=index, encoder=encoder, topics=topics)
    facts["sha256"] = sha256_text(output)
    write_origin(output, settings=settings, inputs=given, facts=facts, is_run=True)


def _search_words(
    index: Path, queries: list[Any], translations: Any, *, k: int, k1: float, b: float
) -> dict[str, list[Any]]:
    """Search by BM25: the words of the queries, or their translations in a lexicon."""
    from optical_ir.retrieval.bm25 import Bm25Index
    from optical_ir.retrieval.psq import search_psq

    with Bm25Index(index) as lucene:
        if translations is None:
            return lucene.search(queries, k=k, k1=k1, b=b)
        return search_psq(lucene, queries, translations, k=k, k1=k1, b=b)


def _check_search(index: Path, encoder: str | None, first_stage: str | None, *, late: bool) -> None:
    from optical_ir.retrieval.index_description import is_multi_vector_index

    if encoder is None and (late or is_multi_vector_index(index)):
        kind = "late-interaction" if late else "multi-vector"
        raise ConfigError(f"{index}: is a {kind} index. Name its query --encoder.")
    if first_stage and not late:
        raise ConfigError(
            f"{index}: expected a late-interaction index for --first-stage, found another. "
            "Make one with: optical-ir index --token-vectors, or leave the first stage out."
        )


def _tag(tag: str | None, encoder: str | None) -> str:
    name = tag or (Path(encoder).resolve().name if encoder else "bm25")
    if len(name.split()) != 1:
        raise ConfigError(f"expected a tag without white space, found {name!r}. Pass a --tag.")
    return name


def rerank(
    run: Annotated[Path, typer.Option(help="TREC run of any engine, Pyserini's or ours.")],
    index: Annotated[Path, typer.Option(help="Multi-vector index that `encode` wrote.")],
    encoder: Encoder,
    topics: Topics,
    output: Output,
    lexicon: Lexicon = None,
    hits: Annotated[int, typer.Option(min=1, help="Documents a query that are scored.")] = 1000,
    tag: Annotated[
        str | None, typer.Option(help="Last column; the encoder's name if not given.")
    ] = None,
    batch_size: BatchSize = 32,
    max_length: MaxLength = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Rank the documents of a run anew, by exact MaxSim."""
    from optical_ir.collections import load_queries, read_gloss_lexicon
    from optical_ir.files import check_output, sha256_text
    from optical_ir.provenance import write_origin
    from optical_ir.retrieval.index import MultiVectorIndex
    from optical_ir.retrieval.queries import encode_for
    from optical_ir.retrieval.rerank import rerank as rerank_run
    from optical_ir.run_facts import describe_sources
    from optical_ir.trec import read_run, write_run

    check_output(output, overwrite=overwrite)
    name = _tag(tag, encoder)
    queries, first_stage, opened = load_queries(topics), read_run(run), MultiVectorIndex.open(index)
    vectors = encode_for(
        opened,
        encoder,
        queries,
        lexicon=read_gloss_lexicon(lexicon) if lexicon else None,
        batch_size=batch_size,
        max_length=max_length,
        device=device,
    )
    reranked = rerank_run(opened, first_stage, queries, vectors, k=hits)
    write_run(output, reranked, tag=name, overwrite=overwrite)
    settings = {"index": index, "encoder": encoder, "hits": hits, "tag": name}
    inputs: dict[str, Path | str | None] = {"run": run, "topics": topics, "lexicon": lexicon}
    facts = describe_sources(index=index, encoder=encoder, topics=topics)
    write_origin(
        output,
        settings=settings | {"topics": topics, "lexicon": lexicon, "max_length": max_length},
        inputs={role: path for role, path in inputs.items() if path},
        facts=facts | {"sha256": sha256_text(output)},
        is_run=True,
    )


def fuse(
    runs: Annotated[list[Path], typer.Argument(help="TREC runs of any engine, two or more.")],
    output: Output,
    method: Annotated[
        str, typer.Option(help="rrf (reciprocal ranks) or wsum (weighted sum of scores).")
    ] = "rrf",
    rrf_k: Annotated[int, typer.Option(min=0, help="Of rrf: 1 / (k + rank) are summed.")] = 60,
    norm: Annotated[str, typer.Option(help="Of wsum: min-max or sum.")] = "min-max",
    weight: Annotated[
        list[float] | None,
        typer.Option(help="Of wsum, one for each run in their order; equal if not given."),
    ] = None,
    tune_qrels: Annotated[
        str | None,
        typer.Option(help="Judgements of other queries: tunes weights or k there, for nDCG@10."),
    ] = None,
    tune_run: Annotated[
        list[Path] | None,
        typer.Option(help="Runs of those queries, one for each run in the order of the runs."),
    ] = None,
    hits: Annotated[int, typer.Option(min=1, help="Documents a query.")] = 1000,
    tag: Annotated[str | None, typer.Option(help="Last column; the method if not given.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fuse runs into one: sum reciprocal ranks, or normalised scores with weights tuned on dev."""
    from dataclasses import asdict

    from optical_ir.collections import load_qrels
    from optical_ir.files import check_output, sha256_text
    from optical_ir.provenance import write_origin
    from optical_ir.retrieval.fusion import FusionSettings, fuse_runs, tune_fusion
    from optical_ir.trec import read_run, write_run

    check_output(output, overwrite=overwrite)
    name, tune_runs = _tag(tag or method, None), tune_run or []
    settings = FusionSettings(
        method=method, rrf_k=rrf_k, norm=norm, weights=tuple(weight) if weight else None
    )
    _check_tuning(runs, tune_qrels, tune_runs, is_weighted=bool(weight))
    if tune_qrels:
        tuned_on = [read_run(path, may_be_empty=True) for path in tune_runs]
        settings = tune_fusion(load_qrels(tune_qrels), tuned_on, settings)
    fused = fuse_runs([read_run(path, may_be_empty=True) for path in runs], settings, k=hits)
    write_run(output, fused, tag=name, overwrite=overwrite)
    inputs = {f"run {number}": path for number, path in enumerate(runs, start=1)}
    inputs |= {f"tune_run {number}": path for number, path in enumerate(tune_runs, start=1)}
    inputs |= {"tune_qrels": Path(tune_qrels)} if tune_qrels else {}
    origin = {**asdict(settings), "hits": hits, "tag": name, "tune_qrels": tune_qrels}
    facts = {"sha256": sha256_text(output)}
    write_origin(output, settings=origin, inputs=inputs, facts=facts, is_run=True)


def _check_tuning(
    runs: list[Path], tune_qrels: str | None, tune_runs: list[Path], *, is_weighted: bool
) -> None:
    if bool(tune_qrels) != bool(tune_runs) or (tune_runs and len(tune_runs) != len(runs)):
        raise ConfigError(
            f"expected --tune-qrels and a --tune-run for each of {len(runs)} runs, or neither, "
            f"found {'judgements' if tune_qrels else 'none'} and {len(tune_runs)} runs."
        )
    if tune_qrels and is_weighted:
        raise ConfigError("expected --weight or --tune-qrels, found both. Choose one.")
    same = {path.resolve() for path in runs} & {path.resolve() for path in tune_runs}
    if same:
        raise ConfigError(
            f"expected tuning on other queries than those fused, found {sorted(same)[0]} in both. "
            "Tune on runs of dev queries."
        )
