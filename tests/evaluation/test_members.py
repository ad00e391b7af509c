import numpy as np

from mmkeras.evaluation.members import Members


def test_every_group_is_left_out_once_where_there_are_few():
    members = Members(np.asarray([5, 5, 2, 9, 2]), np.ones(5))
    np.testing.assert_array_equal(members.without_each_block(100, 0), 1 - np.eye(3))


def test_many_groups_are_left_out_in_blocks_of_like_size():
    members = Members(None, np.ones(1003))
    left = members.without_each_block(100, 0)
    assert left.shape == (100, 1003)
    assert ((left == 0).sum(0) == 1).all()
    assert set((left == 0).sum(1)) == {10, 11}
    # Blocks of neighbours would differ more than groups do, where the samples are in an order.
    assert np.abs(np.diff(np.flatnonzero(left[0] == 0))).max() > 20


def test_a_single_group_is_never_left_out():
    assert Members(np.zeros(4), np.ones(4)).without_each_block(100, 0).shape == (0, 1)
