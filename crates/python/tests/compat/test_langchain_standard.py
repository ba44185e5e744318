"""LangChain's standard tests of vector stores and retrievers."""

import inspect

import pytest

pytest.importorskip("langchain_tests")
pytest.importorskip("pytest_asyncio")

from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from selvedge_search.compat.langchain import SelvedgeRetriever, SelvedgeVectorStore


def with_async(suite):
    """Marks the async tests of a class, so that they run in any mode of pytest-asyncio."""
    for name, test in inspect.getmembers(suite, inspect.iscoroutinefunction):
        setattr(suite, name, pytest.mark.asyncio(test))
    return suite


@with_async
class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path):
        return SelvedgeVectorStore(tmp_path / "docs.index")


@with_async
class TestTemporaryVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        return SelvedgeVectorStore()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    texts = ["A cat sleeps.", "A dog barks.", "A bird sings.", "A fish swims."]
    return SelvedgeVectorStore.from_texts(texts, index=tmp_path_factory.mktemp("retriever") / "docs.index").index


@with_async
class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _index(self, index):
        self.index = index

    @property
    def retriever_constructor(self):
        return SelvedgeRetriever

    @property
    def retriever_constructor_params(self):
        return {"index": self.index}

    @property
    def retriever_query_example(self):
        return "which animal sings"
