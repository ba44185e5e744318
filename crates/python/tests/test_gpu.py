"""Searches on a GPU, of arrays that are there. Without a GPU, the emulated driver of the repository's tests is one."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
import pytest
from conftest import unit_rows

from selvedge_search import Index, errors

DRIVER = os.environ.get("SELVEDGE_CUDA_DRIVER", "libcuda.so.1")


class OnDevice:
    """Array of a GPU, as the interface of CUDA arrays describes it."""

    def __init__(self, driver: ctypes.CDLL, array: np.ndarray, **changed: Any) -> None:
        address = ctypes.c_uint64()
        assert driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(max(array.nbytes, 1))) == 0
        copied = driver.cuMemcpyHtoDAsync_v2(address, array.ctypes.data_as(ctypes.c_void_p), array.nbytes, None)
        assert copied == 0
        self.ndim = array.ndim
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (address.value, False),
            "strides": None,
            "version": 3,
            "stream": 1,
            **changed,
        }


@pytest.fixture
def driver(rows_path):
    """Return the driver, with the context of the device's other users."""
    try:
        Index.open(rows_path, device="cuda").close()
    except errors.DeviceError as error:
        pytest.skip(str(error))
    driver = ctypes.CDLL(DRIVER)
    device, context = ctypes.c_int(), ctypes.c_void_p()
    assert driver.cuInit(0) == 0 and driver.cuDeviceGet(ctypes.byref(device), 0) == 0
    assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) == 0
    assert driver.cuCtxSetCurrent(context) == 0
    return driver


def test_arrays_of_the_device_are_searched_there(rows_path, driver):
    queries = unit_rows(500).reshape(100, 5, 64)[:6]
    with Index.open(rows_path) as on_cpu, Index.open(rows_path, device="cuda") as index:
        assert index.info()["backend"].startswith("cuda") and on_cpu.info()["backend"].startswith("cpu")

        def same(query: Any, host: np.ndarray, **options: Any) -> None:
            found, expected = index.search(query, **options), on_cpu.search(host, **options)
            assert found.ids == expected.ids and found.scores.tolist() == expected.scores.tolist()

        for query in queries:
            same(query, query, k=4)
            same(OnDevice(driver, query), query, k=4)
            same(OnDevice(driver, query), query, k=4, exact=True, where="n < 50")
            half = query.astype(np.float16)
            same(OnDevice(driver, half), half, k=4)
        batch = index.search([OnDevice(driver, query) for query in queries], k=2)
        assert [found.ids for found in batch] == [found.ids for found in on_cpu.search(queries, k=2)]
        with index.snapshot() as snapshot:
            assert snapshot.search(OnDevice(driver, queries[3]), k=1).ids == ["p3"]
        with pytest.raises(errors.DimensionMismatch):
            index.search(OnDevice(driver, np.ascontiguousarray(queries[0][:, :32])))
        with pytest.raises(errors.InvalidInput, match="finite"):
            index.search(OnDevice(driver, np.full((2, 64), np.nan, np.float32)))
        with pytest.raises(errors.SelvedgeError):
            index.search(OnDevice(driver, queries[0], data=(64, False)))
        # Components or strides that the interface's reader does not know go by the host, which this object cannot.
        for changed in ({"typestr": "<i4"}, {"strides": (512, 4)}):
            with pytest.raises(errors.WrongType):
                index.search(OnDevice(driver, queries[0], **changed))
