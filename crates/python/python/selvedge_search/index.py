"""Indexes: made, opened, searched, changed and measured."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from . import _progress, _selvedge
from ._arguments import Where, checked, condition, count, is_one, named, queries_of, strings
from ._passages import load_of, model_of, note_few, note_truncated, passages_of
from ._place import Place
from ._reader import Reader, Snapshot
from .encoder import Encoder
from .errors import IndexClosed, InvalidInput, WrongType
from .results import Results

if TYPE_CHECKING:
    import asyncio

    from ._async import Batches

#: Bytes of memory that a build or a change may use, without the model.
MEMORY = 4 << 30


@checked
class Index(Reader):
    """An index on disk, open for searches and changes.

    Searches may run in any number of threads at the same time: they release the interpreter. A change commits all of it
    or nothing; other processes see it after their :meth:`refresh`.

    Indexes are made by :meth:`create` and opened by :meth:`open`.
    """

    def __init__(self, engine: _selvedge.Engine, opened: dict[str, Any] | None = None) -> None:
        if opened is None:
            raise WrongType("open an index with Index.open(path), make one with Index.create(path, documents)")
        self._engine = engine
        self._opened = opened
        self._batches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Batches] = weakref.WeakKeyDictionary()

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        documents: Iterable[Any] | str | os.PathLike[str] | None = None,
        *,
        embeddings: Any = None,
        lens: Any = None,
        mask: Any = None,
        ids: Iterable[Any] | None = None,
        texts: Iterable[str | None] | None = None,
        metadata: Iterable[Any] | None = None,
        model: str | os.PathLike[str] | Encoder | None = None,
        precision: str | None = None,
        query_maxlen: int | None = None,
        passage_maxlen: int | None = None,
        nbits: int = 2,
        codec: str = "selvedge",
        codec_from: str | os.PathLike[str] | None = None,
        centroids: int | None = None,
        pool: int = 1,
        language: str | None = "english",
        split_words: int | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        seed: int = 42,
        memory: int = MEMORY,
        device: str = "cpu",
        overwrite: bool = False,
        progress: _progress.Progress = None,
    ) -> Index:
        """Make an index of documents, or of embeddings, and open it. Iterables are read once, one by one.

        Args:
            path: Folder of the index; it must not exist, or be empty.
            documents: The path of a folder of texts, or of a file of JSON lines or TSV; or an iterable of texts, of
                (id, text), of (id, text, metadata), or of dictionaries with "text" and, if they have them, "id" and
                "metadata"; their other keys are metadata, too. Documents without an id have their number as id; ids are
                kept as str. Files of a folder that are too long for the model are split: "notes.md#1", "notes.md#2";
                all have the metadata "file" and "line". A document of an iterable is one passage, and cut where the
                model ends, with a warning. Metadata are a dictionary of JSON's values (NaN is none), and of dates: a
                datetime without a zone is one of UTC, as a date is in conditions.
            embeddings: An iterable of arrays (T, D), one per passage; or one array (N, D) with ``lens``, or (P, T, D)
                with a ``mask`` if it is padded. Arrays are of numpy, torch, jax or cupy, float32 or float16. An array
                must not change while it is read. Rows are to have about unit norm.
            lens: Number of rows of each passage.
            mask: Rows (P, T) of a padded array that count. They are copied, whatever ``memory`` says.
            ids: Ids of the embeddings' passages. Default: their numbers.
            texts: Texts of the embeddings' passages, or None: hits and :meth:`get` show them. They are not encoded. A
                new index of embeddings does not find them by words; one of texts, to which they are added, does, and
                ``compact(retrain=True)`` then encodes them in place of the embeddings.
            metadata: Metadata of the embeddings' passages, as those of documents: dictionaries, or None.
            model: The encoder of texts, or its name, as of :class:`Encoder`. Default: "shipped". With embeddings: the
                encoder of queries that are texts; default: none.
            precision, query_maxlen, passage_maxlen: See :class:`Encoder`.
            nbits: Bits per component of a residual: 0, 1, 2, 4 or 8. A vector of D components takes about
                ``D * nbits / 8 + 4`` bytes.
            codec: "selvedge", or "colbertv2" for the codec of ColBERTv2.
            codec_from: Another index, of the same model, whose codec is used: none is trained, and ``nbits``, ``codec``
                and ``centroids`` do not count. The shards of a collection need one codec.
            centroids: Number of centroids. Default: by the number of tokens.
            pool: Number of tokens of a passage that become one, about; 1 keeps all.
            language: Language of the words that are indexed for BM25; None for no words.
            split_words: Words after which a file of a folder is split; 0 keeps files whole. Default: by the model.
            include, exclude: Globs of a folder's files.
            seed: Seed of random numbers: the same input gives the same index.
            memory: Bytes that the build may use, without the model.
            device: "cpu", or "cuda", "cuda/1", ... for an NVIDIA GPU.
            overwrite: Whether an index at ``path`` is replaced. It stays until the new one is complete.
            progress: None shows a bar where a person looks, True always, False never. A function is called with
                (stage, done, total, unit).

        Raises:
            IndexExists: There is something at ``path``.
            InvalidInput, WrongType: An option, a document or an array has a fault.
            ModelError: The model cannot be loaded.
        """
        encoder, name = model_of(model)
        load = load_of(encoder, precision, query_maxlen, passage_maxlen)
        passages = passages_of(documents, embeddings, lens, mask, ids, texts, metadata)
        if passages["collection"] is None and (split_words is not None or include or exclude):
            raise InvalidInput("split_words, include and exclude go with a folder; Encoder.split splits texts")
        settings = {
            "model": encoder.model if encoder else name or "shipped",
            "load": load,
            "nbits": nbits,
            "codec": codec,
            "codec_from": None if codec_from is None else os.fspath(codec_from),
            "centroids": centroids,
            "pool": pool,
            "language": language,
            "split_words": split_words,
            "include": strings("include", include),
            "exclude": strings("exclude", exclude),
            "seed": seed,
            "memory": memory,
            "device": device,
        }
        with _progress.shown(progress) as report, Place(os.fspath(path), overwrite) as place:
            counts = _selvedge.build(place, passages, settings, encoder._encoder if encoder else None, report)
        note_truncated(counts, counts["passages"])
        return cls.open(path, model=encoder or (None if documents is not None else model), device=device, **load)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | Encoder | None = None,
        any_model: bool = False,
        precision: str | None = None,
        query_maxlen: int | None = None,
        passage_maxlen: int | None = None,
        device: str = "cpu",
    ) -> Index:
        """Open an index.

        Args:
            path: Folder of the index.
            model: Encoder of queries, or its name. Default: the one that made the index, loaded by the first text.
            any_model: Whether another encoder than the one that made the index is accepted.
            precision, query_maxlen, passage_maxlen: See :class:`Encoder`.
            device: "cpu", or "cuda", "cuda/1", ... for an NVIDIA GPU.

        Raises:
            IndexNotFound: There is no index at ``path``.
            CorruptIndex: A file of it is damaged.
            DeviceError: The device is not available.
        """
        opened = {
            "model": model,
            "any_model": any_model,
            "precision": precision,
            "query_maxlen": query_maxlen,
            "passage_maxlen": passage_maxlen,
            "device": device,
        }
        encoder, name = model_of(model)
        load = load_of(encoder, precision, query_maxlen, passage_maxlen)
        native = encoder._encoder if encoder else None
        return cls(_selvedge.Engine.open(os.fspath(path), name, native, any_model, load, device), opened)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.path, self._opened)

    def __repr__(self) -> str:
        if self.closed:
            return f"Index({self.path!r}, closed)"
        return f"Index({self.path!r}, passages={len(self)}, generation={self.generation})"

    def close(self) -> None:
        """Forget the index; every later call raises IndexClosed."""
        for batches in list(self._batches.values()):
            batches.close()
        super().close()

    @property
    def encoder(self) -> Encoder:
        """The encoder of the index, which is loaded if it is not yet.

        Raises:
            ModelError: It cannot be loaded, or the index was made from embeddings and no model was named.
        """
        return Encoder._of(self._engine.encoder)

    def refresh(self) -> int:
        """Follow to the newest generation of the index, which others may have changed, and return its number."""
        return self._engine.refresh()

    def snapshot(self) -> Snapshot:
        """Return the generation of this moment, which stays as it is: ``with index.snapshot() as snapshot: ...``."""
        return Snapshot(self._engine.snapshot())

    async def asearch(self, query: Any, k: int = 10, **options: Any) -> Results:
        """Answer one query as :meth:`search`, for asyncio: requests of the same options are answered in batches.

        Args:
            query: A text, or embeddings (Q, D).
        """
        if not isinstance(query, str) and getattr(query, "ndim", 0) != 2:
            raise WrongType("asearch answers one query: give a text or an array (Q, D)")
        import asyncio

        from ._async import Batches, fixed

        loop = asyncio.get_running_loop()
        batches = self._batches.get(loop)
        if batches is None:
            batches = self._batches[loop] = Batches(self._answers)
        if options.get("where") is not None:
            options["where"] = condition(options["where"])  # Now, since a list of values may change; 1 equals True.
        return await batches.search(fixed(query), {"k": k, **options})

    def _answers(self, queries: list[Any], options: dict[str, Any]) -> list[Results]:
        return list(self.search(queries, progress=False, **options))

    def add(
        self,
        documents: Iterable[Any] | str | os.PathLike[str] | None = None,
        *,
        embeddings: Any = None,
        lens: Any = None,
        mask: Any = None,
        ids: Iterable[Any] | None = None,
        texts: Iterable[str | None] | None = None,
        metadata: Iterable[Any] | None = None,
        replace: bool = False,
        memory: int = MEMORY,
        merge: bool = True,
        progress: _progress.Progress = None,
    ) -> dict[str, Any]:
        """Add passages, which are searched from then on. Documents and embeddings are those of :meth:`create`.

        Args:
            ids: Default: numbers, from the number of passages ever added on. Documents without ids have them, too.
            replace: Whether a passage replaces the one that has its id; otherwise such an id raises IdExists.
            merge: Whether small segments are merged afterwards, where that pays.

        Returns:
            Counts: "added", "deleted", "passages", "tokens", "segments", "generation", "truncated" (passages that were
            cut), and "drift": how badly the added passages fit the codec, about 1 for more of the same kind. Above 1.2
            ``compact(retrain=True)`` pays.

        Raises:
            IdExists: The index has one of the ids; nothing is added.
            IndexLocked: Another writer changes the index.
        """
        passages = passages_of(documents, embeddings, lens, mask, ids, texts, metadata)
        with _progress.shown(progress) as report:
            counts = self._engine.add(passages, replace, count("memory", memory), merge, report)
        note_truncated(counts, counts["added"])
        return counts

    def update(
        self,
        documents: Iterable[Any] | str | os.PathLike[str] | None = None,
        *,
        embeddings: Any = None,
        lens: Any = None,
        mask: Any = None,
        ids: Iterable[Any] | None = None,
        texts: Iterable[str | None] | None = None,
        metadata: Iterable[Any] | None = None,
        memory: int = MEMORY,
        merge: bool = True,
        progress: _progress.Progress = None,
    ) -> dict[str, Any]:
        """Add passages, and replace those that have their ids: :meth:`add` with ``replace=True``. All need ids."""
        return self.add(
            documents,
            embeddings=embeddings,
            lens=lens,
            mask=mask,
            ids=ids,
            texts=texts,
            metadata=metadata,
            replace=True,
            memory=memory,
            merge=merge,
            progress=progress,
        )

    def update_folder(
        self,
        folder: str | os.PathLike[str],
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        memory: int = MEMORY,
        merge: bool = True,
        progress: _progress.Progress = None,
    ) -> dict[str, Any]:
        """Bring the index up to date with the folder that it was made from: new, changed and deleted files."""
        globs = strings("include", include), strings("exclude", exclude)
        with _progress.shown(progress) as report:
            return self._engine.update_folder(os.fspath(folder), memory, merge, *globs, report)

    def delete(
        self, ids: Iterable[Any] | str | int | None = None, *, where: Where | None = None, ignore_missing: bool = False
    ) -> dict[str, Any]:
        """Delete passages: those of ids, or those for which a condition on their metadata is true.

        Raises:
            UnknownIds: The index lacks one of the ids, and ``ignore_missing`` is not set; nothing is deleted.
        """
        if (ids is None) == (where is None):
            raise InvalidInput("give either ids or where")
        if where is not None:
            return self._engine.delete(self.ids(where), True)
        return self._engine.delete(ids, ignore_missing)

    def compact(
        self, *, retrain: bool | str = False, memory: int = MEMORY, progress: _progress.Progress = None
    ) -> dict[str, Any]:
        """Merge all segments, and forget what was deleted.

        Args:
            retrain: Whether another codec is trained for what the index has become: True or "text" encodes the stored
                texts again; "stored" decodes what the index has, which is faster and loses a little quality.
        """
        from_ = "text" if retrain is True else retrain or None
        with _progress.shown(progress) as report:
            return self._engine.compact(from_, count("memory", memory), report)

    def verify(self) -> dict[str, Any]:
        """Check every byte of the index.

        Returns:
            "ok", and "files": name, bytes and fault (None if it is sound) of each.
        """
        if self.closed:
            raise IndexClosed(f"{self.path}: the index was closed; open it again with Index.open", path=self.path)
        files = [{"file": name, "bytes": size, "fault": fault} for name, size, fault in _selvedge.verify(self.path)]
        return {"ok": all(file["fault"] is None for file in files), "files": files}

    def tune(
        self,
        queries: Iterable[Any] | None = None,
        *,
        k: int | Sequence[int] = (10, 100),
        recall: float = 0.99,
        where: Where | None = None,
        dry_run: bool = False,
        progress: _progress.Progress = None,
    ) -> dict[str, Any]:
        """Find the fastest parameters that find a share of the exact top k, and store them in the index.

        Args:
            queries: Texts, or embeddings (Q, D), that resemble those of later searches: a hundred or more. With fewer
                a warning says that the recall of other queries may differ. Without any, parts of 300 passages are the
                queries.
            k: Numbers of results to tune for.
            recall: Share of the exact top k.
            where: Condition that searches will have; such settings are not stored.
            dry_run: Whether nothing is stored. Otherwise searches use the parameters from then on.

        Returns:
            "best", for each k the parameters "nprobe", "ndocs" and "num_rescored", with their "recall" and the "p50_us"
            of a search; "tried", all that were timed; "exhaustive" and "unreached", each k that needs none or has none.
        """
        given = None if queries is None else queries_of(queries)
        filter_ = None if where is None else condition(where)
        if given is not None:
            note_few(len(given))
        ks = [count("k", one) for one in ([k] if is_one(k) or not hasattr(k, "__iter__") else k)]
        with _progress.shown(progress) as report:
            return named(self._engine.tune(given, ks, recall, filter_, dry_run, report))  # type: ignore[no-any-return]


def _again(path: str, opened: dict[str, Any]) -> Index:
    return Index.open(path, **opened)
