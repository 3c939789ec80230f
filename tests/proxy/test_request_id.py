from llm_router.proxy.request_id import new_request_id


def test_ids_sort_by_time_and_never_repeat() -> None:
    ids = [new_request_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(id_.startswith("req_") and len(id_) == 24 for id_ in ids)
    assert [id_[:16] for id_ in ids] == sorted(id_[:16] for id_ in ids)
